import { maglev } from "../../../src/cluster/balancers/maglev.ts";
import { ringHash } from "../../../src/cluster/balancers/ring-hash.ts";
import { boundedLoads, consistentHashing } from "../../contracts/consistent-hashing.ts";

// A ring moves no other key at all; Maglev's evenness costs a few (section 5.3 of the paper).
consistentHashing(ringHash, { spread: 0.25, moved: 0 });
consistentHashing(maglev, { spread: 0.1, moved: 0.03 });

boundedLoads(ringHash);
boundedLoads(maglev);
