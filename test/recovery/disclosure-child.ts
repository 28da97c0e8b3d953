/**
 * A recovery service that is killed in the midst of a disclosure: by its own hand, behind the n-th call
 * of the database from the start of the writing transaction on. What it was shown it prints, as a portal
 * would send it.
 *
 * Arguments: site folder, key ID, disclosure id, n (0: before the first; a large one: never).
 */
import { writeSync } from 'node:fs';
import { join } from 'node:path';
import { createLogger } from '../../src/ops/log.js';
import { systemClock } from '../../src/ops/clock.js';
import { parseGuid } from '../../src/protocol/guid.js';
import { disclosureContext } from '../../src/recovery/disclosure/context.js';
import { disclose } from '../../src/recovery/disclosure/disclose.js';
import { openRecoverySite } from '../../src/recovery/open-site.js';
import { openStore } from '../../src/store/open-store.js';
import { Connection } from '../../src/store/sqlite/connection.js';
import { request } from './desk.js';

const [folder = '', keyId = '', disclosureId = '', fatal = '0'] = process.argv.slice(2);
const clock = systemClock();
const log = createLogger('child', { logLevel: 'silent' }, { fd: 2 });
const store = await openStore({ kind: 'sqlite', path: join(folder, 'site.db') });
const site = await openRecoverySite(join(folder, 'keys'), store, { clock, log });

let calls = -1;
const step = (): void => {
  if (calls < 0) return;
  if (calls === Number(fatal)) process.kill(process.pid, 'SIGKILL');
  calls += 1;
};
type Call = (this: Connection, ...values: never[]) => unknown;
const prototype = Connection.prototype as unknown as Record<string, Call>;
for (const name of ['get', 'all', 'run']) {
  const real = prototype[name]!;
  prototype[name] = function (...values) {
    const result = real.apply(this, values);
    step();
    return result;
  };
}
const immediate = prototype['immediate']!;
prototype['immediate'] = function (...values) {
  calls = 0;
  step();
  const result = immediate.apply(this, values);
  // Behind COMMIT.
  step();
  return result;
};

const config = {
  audit: { limits: { helpdeskPerHour: 1000, ownPerHour: 1000 } },
  recovery: { rotationDeadlineMs: 1000 },
};
const context = disclosureContext(config as never, site, { store, clock, log });
const answer = await disclose(context, request(parseGuid(keyId), { disclosureId: parseGuid(disclosureId) }));
writeSync(
  1,
  answer.outcome === 'shown'
    ? `SHOWN ${String(answer.keys[0]?.value)} calls ${calls}\n`
    : `${answer.detail}\n`,
);
await store.close();
