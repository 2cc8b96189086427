/**
 * A caller's stream and the stream to the upstream that carries its call: what happens to the one and to the other, for every event
 * in every state. A row is an event, what the caller hears of it, what the upstream hears, and the state after it. What a state
 * leaves out stands behind "never", and why.
 *
 * States: how far the answer is, and whether the caller's request has ended.
 *   waiting       no connection yet
 *   asked         the upstream has the request's head; "asked again": for the second time, after it refused the first
 *   answering     the head of the answer has been passed on
 *   answered      the whole answer has, and the caller still sends
 *   held          the whole answer has come, and lies here: the caller's window is shut; "held, unwanted": and the upstream wants no
 *                 more of the request
 *   kept          the whole request has come, and lies here: the upstream's window is shut
 *   over          neither side owes the other anything, and nothing of the call is left
 *
 * Words: "refused N WHY" is Trailers-Only of our own, "trailers N WHY" the same after a head; "answer N" is the upstream's
 * Trailers-Only; "asked" is a request's head; "end" an end of the stream, by DATA or trailers as it was sent.
 */
export const table = `
waiting, open
  caller: data                 | -                                             | -                      | waiting, open
  caller: end                  | -                                             | -                      | waiting, ended
  caller: trailers             | -                                             | -                      | waiting, ended
  caller: cancel               | -                                             | -                      | over
  caller: breaks its stream    | reset PROTOCOL_ERROR                          | -                      | over
  caller: gone                 | -                                             | -                      | over
  upstream: ready              | -                                             | asked; data?           | asked, open
  upstream: not ready          | refused 14 CONNECT_FAILED; reset NO_ERROR     | -                      | over
  we: deadline                 | refused 4 DEADLINE_CLIENT; reset NO_ERROR     | -                      | over
  we: grace ends               | refused 14 DRAINING; reset NO_ERROR; closed   | -                      | over
  never, no connection stands: upstream: *
  never, no window is looked at yet: caller: sends too much; caller: takes

waiting, ended
  caller: data                 | reset STREAM_CLOSED                           | -                      | over
  caller: end                  | reset STREAM_CLOSED                           | -                      | over
  caller: trailers             | reset STREAM_CLOSED                           | -                      | over
  caller: cancel               | -                                             | -                      | over
  caller: breaks its stream    | reset PROTOCOL_ERROR                          | -                      | over
  caller: gone                 | -                                             | -                      | over
  upstream: ready              | -                                             | asked; data?; end      | asked, ended
  upstream: not ready          | refused 14 CONNECT_FAILED                     | -                      | over
  we: deadline                 | refused 4 DEADLINE_CLIENT                     | -                      | over
  we: grace ends               | refused 14 DRAINING; closed                   | -                      | over
  never, no connection stands: upstream: *
  never, the request has ended: caller: sends too much
  never, nothing is held: caller: takes

asked, open
  caller: data                 | -                                             | data                   | asked, open
  caller: end                  | -                                             | end                    | asked, ended
  caller: trailers             | -                                             | end                    | asked, ended
  caller: sends too much       | -                                             | -                      | kept, asked
  caller: cancel               | -                                             | reset CANCEL           | over
  caller: breaks its stream    | reset PROTOCOL_ERROR                          | reset CANCEL           | over
  caller: gone                 | -                                             | reset CANCEL           | over
  upstream: interim            | interim                                       | -                      | asked, open
  upstream: head               | head                                          | -                      | answering, open
  upstream: head and end       | answer 5                                      | -                      | answered, open
  upstream: not gRPC           | refused 14 NOT_GRPC; reset NO_ERROR           | reset CANCEL           | over
  upstream: data               | refused 13 PROTOCOL; reset NO_ERROR           | reset PROTOCOL_ERROR   | over
  upstream: data and end       | refused 13 PROTOCOL; reset NO_ERROR           | reset PROTOCOL_ERROR   | over
  upstream: trailers           | refused 13 PROTOCOL; reset NO_ERROR           | reset PROTOCOL_ERROR   | over
  upstream: malformed head     | refused 13 PROTOCOL; reset NO_ERROR           | reset PROTOCOL_ERROR   | over
  upstream: NO_ERROR           | refused 13 RST_STREAM; reset NO_ERROR         | -                      | over
  upstream: CANCEL             | refused 1 RST_STREAM; reset NO_ERROR          | -                      | over
  upstream: INTERNAL_ERROR     | refused 13 RST_STREAM; reset NO_ERROR         | -                      | over
  upstream: REFUSED_STREAM     | -                                             | asked; data?           | asked again, open
  upstream: goaway below       | -                                             | asked; data?           | asked, open
  upstream: goaway above       | -                                             | -                      | asked, open
  upstream: gone               | refused 14 UPSTREAM_LOST; reset NO_ERROR      | -                      | over
  upstream: breaks connection  | refused 13 PROTOCOL; reset NO_ERROR           | goaway PROTOCOL_ERROR  | over
  we: deadline                 | refused 4 DEADLINE_CLIENT; reset NO_ERROR     | reset CANCEL           | over
  we: grace ends               | refused 14 DRAINING; reset NO_ERROR; closed   | reset CANCEL           | over
  never, the connection stands: upstream: ready; upstream: not ready
  never, nothing lies here: caller: takes; upstream: takes; upstream: sends too much

asked, ended
  caller: data                 | reset STREAM_CLOSED                           | reset CANCEL           | over
  caller: end                  | reset STREAM_CLOSED                           | reset CANCEL           | over
  caller: trailers             | reset STREAM_CLOSED                           | reset CANCEL           | over
  caller: cancel               | -                                             | reset CANCEL           | over
  caller: breaks its stream    | reset PROTOCOL_ERROR                          | reset CANCEL           | over
  caller: gone                 | -                                             | reset CANCEL           | over
  upstream: interim            | interim                                       | -                      | asked, ended
  upstream: head               | head                                          | -                      | answering, ended
  upstream: head and end       | answer 5                                      | -                      | over
  upstream: not gRPC           | refused 14 NOT_GRPC                           | reset CANCEL           | over
  upstream: data               | refused 13 PROTOCOL                           | reset PROTOCOL_ERROR   | over
  upstream: data and end       | refused 13 PROTOCOL                           | reset PROTOCOL_ERROR   | over
  upstream: trailers           | refused 13 PROTOCOL                           | reset PROTOCOL_ERROR   | over
  upstream: malformed head     | refused 13 PROTOCOL                           | reset PROTOCOL_ERROR   | over
  upstream: NO_ERROR           | refused 13 RST_STREAM                         | -                      | over
  upstream: CANCEL             | refused 1 RST_STREAM                          | -                      | over
  upstream: INTERNAL_ERROR     | refused 13 RST_STREAM                         | -                      | over
  upstream: REFUSED_STREAM     | -                                             | asked; data?; end      | asked again, ended
  upstream: goaway below       | -                                             | asked; data?; end      | asked, ended
  upstream: goaway above       | -                                             | -                      | asked, ended
  upstream: gone               | refused 14 UPSTREAM_LOST                      | -                      | over
  upstream: breaks connection  | refused 13 PROTOCOL                           | goaway PROTOCOL_ERROR  | over
  we: deadline                 | refused 4 DEADLINE_CLIENT                     | reset CANCEL           | over
  we: grace ends               | refused 14 DRAINING; closed                   | reset CANCEL           | over
  never, the connection stands: upstream: ready; upstream: not ready
  never, the request has ended: caller: sends too much
  never, nothing lies here: caller: takes; upstream: takes; upstream: sends too much

asked again, open
  upstream: REFUSED_STREAM     | refused 14 REFUSED; reset NO_ERROR            | -                      | over
  caller: end                  | -                                             | end                    | asked again, ended
  caller: trailers             | -                                             | end                    | asked again, ended
  as in asked, open: *

asked again, ended
  upstream: REFUSED_STREAM     | refused 14 REFUSED                            | -                      | over
  as in asked, ended: *

answering, open
  caller: data                 | -                                             | data                   | answering, open
  caller: end                  | -                                             | end                    | answering, ended
  caller: trailers             | -                                             | end                    | answering, ended
  caller: sends too much       | -                                             | -                      | kept, answering
  caller: cancel               | -                                             | reset CANCEL           | over
  caller: breaks its stream    | reset PROTOCOL_ERROR                          | reset CANCEL           | over
  caller: gone                 | -                                             | reset CANCEL           | over
  upstream: interim            | trailers 13 PROTOCOL; reset NO_ERROR          | reset PROTOCOL_ERROR   | over
  upstream: head               | trailers 13 PROTOCOL; reset NO_ERROR          | reset PROTOCOL_ERROR   | over
  upstream: head and end       | trailers 13 PROTOCOL; reset NO_ERROR          | reset PROTOCOL_ERROR   | over
  upstream: not gRPC           | trailers 13 PROTOCOL; reset NO_ERROR          | reset PROTOCOL_ERROR   | over
  upstream: data               | data                                          | -                      | answering, open
  upstream: data and end       | data; end                                     | -                      | answered, open
  upstream: trailers           | trailers 0                                    | -                      | answered, open
  upstream: sends too much     | -                                             | -                      | held, open
  upstream: malformed head     | trailers 13 PROTOCOL; reset NO_ERROR          | reset PROTOCOL_ERROR   | over
  upstream: NO_ERROR           | trailers 13 RST_STREAM; reset NO_ERROR        | -                      | over
  upstream: CANCEL             | trailers 1 RST_STREAM; reset NO_ERROR         | -                      | over
  upstream: INTERNAL_ERROR     | trailers 13 RST_STREAM; reset NO_ERROR        | -                      | over
  upstream: REFUSED_STREAM     | trailers 14 REFUSED; reset NO_ERROR           | -                      | over
  upstream: goaway below       | trailers 14 GOAWAY_UNPROCESSED; reset NO_ERROR | -                      | over
  upstream: goaway above       | -                                             | -                      | answering, open
  upstream: gone               | trailers 14 UPSTREAM_LOST; reset NO_ERROR     | -                      | over
  upstream: breaks connection  | trailers 13 PROTOCOL; reset NO_ERROR          | goaway PROTOCOL_ERROR  | over
  we: deadline                 | trailers 4 DEADLINE_CLIENT; reset NO_ERROR    | reset CANCEL           | over
  we: grace ends               | trailers 14 DRAINING; reset NO_ERROR; closed  | reset CANCEL           | over
  never, the connection stands: upstream: ready; upstream: not ready
  never, nothing lies here: caller: takes; upstream: takes

answering, ended
  caller: data                 | reset STREAM_CLOSED                           | reset CANCEL           | over
  caller: end                  | reset STREAM_CLOSED                           | reset CANCEL           | over
  caller: trailers             | reset STREAM_CLOSED                           | reset CANCEL           | over
  caller: cancel               | -                                             | reset CANCEL           | over
  caller: breaks its stream    | reset PROTOCOL_ERROR                          | reset CANCEL           | over
  caller: gone                 | -                                             | reset CANCEL           | over
  upstream: interim            | trailers 13 PROTOCOL                          | reset PROTOCOL_ERROR   | over
  upstream: head               | trailers 13 PROTOCOL                          | reset PROTOCOL_ERROR   | over
  upstream: head and end       | trailers 13 PROTOCOL                          | reset PROTOCOL_ERROR   | over
  upstream: not gRPC           | trailers 13 PROTOCOL                          | reset PROTOCOL_ERROR   | over
  upstream: data               | data                                          | -                      | answering, ended
  upstream: data and end       | data; end                                     | -                      | over
  upstream: trailers           | trailers 0                                    | -                      | over
  upstream: sends too much     | -                                             | -                      | held, ended
  upstream: malformed head     | trailers 13 PROTOCOL                          | reset PROTOCOL_ERROR   | over
  upstream: NO_ERROR           | trailers 13 RST_STREAM                        | -                      | over
  upstream: CANCEL             | trailers 1 RST_STREAM                         | -                      | over
  upstream: INTERNAL_ERROR     | trailers 13 RST_STREAM                        | -                      | over
  upstream: REFUSED_STREAM     | trailers 14 REFUSED                           | -                      | over
  upstream: goaway below       | trailers 14 GOAWAY_UNPROCESSED                | -                      | over
  upstream: goaway above       | -                                             | -                      | answering, ended
  upstream: gone               | trailers 14 UPSTREAM_LOST                     | -                      | over
  upstream: breaks connection  | trailers 13 PROTOCOL                          | goaway PROTOCOL_ERROR  | over
  we: deadline                 | trailers 4 DEADLINE_CLIENT                    | reset CANCEL           | over
  we: grace ends               | trailers 14 DRAINING; closed                  | reset CANCEL           | over
  never, the connection stands: upstream: ready; upstream: not ready
  never, the request has ended: caller: sends too much
  never, nothing lies here: caller: takes; upstream: takes

answered, open
  caller: data                 | -                                             | data                   | answered, open
  caller: end                  | -                                             | end                    | over
  caller: trailers             | -                                             | end                    | over
  caller: sends too much       | -                                             | -                      | kept, answered
  caller: cancel               | -                                             | reset CANCEL           | over
  caller: breaks its stream    | reset PROTOCOL_ERROR                          | reset CANCEL           | over
  caller: gone                 | -                                             | reset CANCEL           | over
  upstream: interim            | reset NO_ERROR                                | reset STREAM_CLOSED    | over
  upstream: head               | reset NO_ERROR                                | reset STREAM_CLOSED    | over
  upstream: head and end       | reset NO_ERROR                                | reset STREAM_CLOSED    | over
  upstream: not gRPC           | reset NO_ERROR                                | reset STREAM_CLOSED    | over
  upstream: data               | reset NO_ERROR                                | reset STREAM_CLOSED    | over
  upstream: data and end       | reset NO_ERROR                                | reset STREAM_CLOSED    | over
  upstream: trailers           | reset NO_ERROR                                | reset STREAM_CLOSED    | over
  upstream: malformed head     | reset NO_ERROR                                | reset STREAM_CLOSED    | over
  upstream: NO_ERROR           | reset NO_ERROR                                | -                      | over
  upstream: CANCEL             | reset NO_ERROR                                | -                      | over
  upstream: INTERNAL_ERROR     | reset NO_ERROR                                | -                      | over
  upstream: REFUSED_STREAM     | reset NO_ERROR                                | -                      | over
  upstream: goaway below       | reset NO_ERROR                                | -                      | over
  upstream: goaway above       | -                                             | -                      | answered, open
  upstream: gone               | reset NO_ERROR                                | -                      | over
  upstream: breaks connection  | reset NO_ERROR                                | goaway PROTOCOL_ERROR  | over
  we: deadline                 | -                                             | -                      | answered, open
  we: grace ends               | closed                                        | reset CANCEL           | over
  never, the connection stands: upstream: ready; upstream: not ready
  never, nothing lies here: caller: takes; upstream: takes; upstream: sends too much

held, open
  caller: data                 | -                                             | data                   | held, open
  caller: end                  | -                                             | end                    | held, ended
  caller: trailers             | -                                             | end                    | held, ended
  caller: takes                | data; trailers 0                              | -                      | answered, open
  caller: cancel               | -                                             | reset CANCEL           | over
  caller: breaks its stream    | reset PROTOCOL_ERROR                          | reset CANCEL           | over
  caller: gone                 | -                                             | reset CANCEL           | over
  upstream: interim            | -                                             | reset STREAM_CLOSED    | held, unwanted
  upstream: head               | -                                             | reset STREAM_CLOSED    | held, unwanted
  upstream: head and end       | -                                             | reset STREAM_CLOSED    | held, unwanted
  upstream: not gRPC           | -                                             | reset STREAM_CLOSED    | held, unwanted
  upstream: data               | -                                             | reset STREAM_CLOSED    | held, unwanted
  upstream: data and end       | -                                             | reset STREAM_CLOSED    | held, unwanted
  upstream: trailers           | -                                             | reset STREAM_CLOSED    | held, unwanted
  upstream: malformed head     | -                                             | reset STREAM_CLOSED    | held, unwanted
  upstream: NO_ERROR           | -                                             | -                      | held, unwanted
  upstream: CANCEL             | -                                             | -                      | held, unwanted
  upstream: INTERNAL_ERROR     | -                                             | -                      | held, unwanted
  upstream: REFUSED_STREAM     | -                                             | -                      | held, unwanted
  upstream: goaway below       | -                                             | -                      | held, unwanted
  upstream: goaway above       | -                                             | -                      | held, open
  upstream: gone               | -                                             | -                      | held, unwanted
  upstream: breaks connection  | -                                             | goaway PROTOCOL_ERROR  | held, unwanted
  we: deadline                 | -                                             | -                      | held, open
  we: grace ends               | closed                                        | reset CANCEL           | over
  never, the connection stands: upstream: ready; upstream: not ready
  never, one window is shut at a time: caller: sends too much; upstream: sends too much; upstream: takes

held, unwanted
  caller: data                 | -                                             | -                      | held, unwanted
  caller: end                  | -                                             | -                      | held, ended
  caller: trailers             | -                                             | -                      | held, ended
  caller: takes                | data; trailers 0; reset NO_ERROR              | -                      | over
  caller: cancel               | -                                             | -                      | over
  caller: breaks its stream    | reset PROTOCOL_ERROR                          | -                      | over
  caller: gone                 | -                                             | -                      | over
  we: deadline                 | -                                             | -                      | held, unwanted
  we: grace ends               | closed                                        | -                      | over
  never, the upstream's stream is over: upstream: *
  never, one window is shut at a time: caller: sends too much

held, ended
  caller: data                 | reset STREAM_CLOSED                           | -                      | over
  caller: end                  | reset STREAM_CLOSED                           | -                      | over
  caller: trailers             | reset STREAM_CLOSED                           | -                      | over
  caller: takes                | data; trailers 0                              | -                      | over
  caller: cancel               | -                                             | -                      | over
  caller: breaks its stream    | reset PROTOCOL_ERROR                          | -                      | over
  caller: gone                 | -                                             | -                      | over
  we: deadline                 | -                                             | -                      | held, ended
  we: grace ends               | closed                                        | -                      | over
  never, the upstream's stream is over: upstream: *
  never, the request has ended: caller: sends too much

kept, asked
  upstream: takes              | -                                             | data; end              | asked, ended
  upstream: interim            | interim                                       | -                      | kept, asked
  upstream: head               | head                                          | -                      | kept, answering
  upstream: head and end       | answer 5                                      | -                      | kept, answered
  upstream: REFUSED_STREAM     | refused 14 REFUSED                            | -                      | over
  upstream: goaway below       | refused 14 GOAWAY_UNPROCESSED                 | -                      | over
  upstream: goaway above       | -                                             | -                      | kept, asked
  as in asked, ended: *

kept, answering
  upstream: takes              | -                                             | data; end              | answering, ended
  upstream: data               | data                                          | -                      | kept, answering
  upstream: data and end       | data; end                                     | -                      | kept, answered
  upstream: trailers           | trailers 0                                    | -                      | kept, answered
  upstream: goaway above       | -                                             | -                      | kept, answering
  never, one window is shut at a time: upstream: sends too much
  as in answering, ended: *

kept, answered
  upstream: takes              | -                                             | data; end              | over
  upstream: interim            | -                                             | reset STREAM_CLOSED    | over
  upstream: head               | -                                             | reset STREAM_CLOSED    | over
  upstream: head and end       | -                                             | reset STREAM_CLOSED    | over
  upstream: not gRPC           | -                                             | reset STREAM_CLOSED    | over
  upstream: data               | -                                             | reset STREAM_CLOSED    | over
  upstream: data and end       | -                                             | reset STREAM_CLOSED    | over
  upstream: trailers           | -                                             | reset STREAM_CLOSED    | over
  upstream: malformed head     | -                                             | reset STREAM_CLOSED    | over
  upstream: NO_ERROR           | -                                             | -                      | over
  upstream: CANCEL             | -                                             | -                      | over
  upstream: INTERNAL_ERROR     | -                                             | -                      | over
  upstream: REFUSED_STREAM     | -                                             | -                      | over
  upstream: goaway below       | -                                             | -                      | over
  upstream: goaway above       | -                                             | -                      | kept, answered
  upstream: gone               | -                                             | -                      | over
  upstream: breaks connection  | -                                             | goaway PROTOCOL_ERROR  | over
  we: deadline                 | -                                             | -                      | kept, answered
  we: grace ends               | closed                                        | -                      | kept, answered
  never, the caller's stream is over: caller: *
  never, the connection stands: upstream: ready; upstream: not ready
  never, the answer has ended: upstream: sends too much
`;
