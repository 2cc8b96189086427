import { type HttpAnswer, json } from "./http-answer.ts";
import type { ControlView } from "./view.ts";

/** `/ready`: whether it may get calls now. */
export function readyAnswer(view: ControlView): HttpAnswer {
  const answer = view.readiness();
  return json(answer.ready ? 200 : 503, answer);
}

/** `/live`: whether it works at all. */
export function liveAnswer(view: ControlView): HttpAnswer {
  const live = view.live();
  return json(live ? 200 : 503, { live });
}

/** `/startup`: whether it has been ready once. */
export function startupAnswer(view: ControlView): HttpAnswer {
  if (view.started()) return json(200, { started: true });
  const readiness = view.readiness();
  return json(503, { started: false, waiting: readiness.ready ? [] : readiness.waiting });
}
