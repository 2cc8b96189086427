import { list } from "../schema/collections.ts";
import { authority } from "../schema/names.ts";
import { object } from "../schema/object.ts";
import { secret, string } from "../schema/text.ts";
import { optional, preset, required } from "../schema/type.ts";
import { none } from "./defaults.ts";

const pemFile = string("a path", " of a PEM file");

/** `admin` */
export const admin = object({
  hosts: preset(
    list(authority()),
    none,
    "Names under which the admin listener may be asked, beside its own address and localhost.",
  ),
  token: optional(
    secret("a token"),
    "Who asks has to say it: as Authorization: Bearer, or as the password of a browser's dialog under any name. At least 16 characters.",
    "anybody who reaches the listener may ask",
  ),
  tokenFile: optional(
    string("a path", " such as /etc/outrigger/admin"),
    "A file with the token in it, read again as it changes.",
  ),
  tls: optional(
    object({
      cert: required(pemFile, "A PEM file of the listener's certificate."),
      key: required(pemFile, "A PEM file of its key."),
      clientCa: optional(
        pemFile,
        "A PEM file of authorities: who asks has to show a certificate of one of them.",
        "nobody has to show a certificate",
      ),
    }),
    "The listener speaks HTTPS. The files are read again as they change.",
    "HTTP",
  ),
});
