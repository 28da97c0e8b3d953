/**
 * For `node --import`: the process kills itself (SIGKILL, nothing cleans up) behind its n-th change of a
 * file or of a SQLite database, n from KILL_BEHIND. With 0 it lives, and leaves the number of its changes
 * in the file KILL_BEHIND_STEPS. See killed-behind.ts.
 */
import fs from 'node:fs';
import { syncBuiltinESMExports } from 'node:module';
import Database from 'better-sqlite3';

const fatal = Number(process.env.KILL_BEHIND);
const report = process.env.KILL_BEHIND_STEPS;
const { writeFileSync } = fs;
let steps = 0;

function step() {
  steps += 1;
  if (steps === fatal) process.kill(process.pid, 'SIGKILL');
}

/** @param {Record<string, (...values: unknown[]) => unknown>} object */
function count(object, name, counts = () => true) {
  const real = object[name];
  object[name] = function (...values) {
    const result = real.apply(this, values);
    if (counts(values, this)) step();
    return result;
  };
}

const CHANGES =
  'writeFileSync appendFileSync copyFileSync renameSync linkSync rmSync unlinkSync mkdirSync chmodSync';
for (const name of CHANGES.split(' ')) count(fs, name);
// What is printed changes nothing.
count(fs, 'writeSync', ([fd]) => fd > 2);
// A file that is opened to be read changes nothing.
count(fs, 'openSync', ([, flags]) => flags !== undefined && flags !== 'r');
// Named imports of node:fs see the above from here on.
syncBuiltinESMExports();

const empty = new Database(':memory:');
count(Object.getPrototypeOf(empty), 'exec');
const statement = Object.getPrototypeOf(empty.prepare('SELECT 1'));
count(statement, 'run');
// INSERT … RETURNING; not the settings of a connection.
for (const name of ['get', 'all'])
  count(statement, name, (_, { readonly, source }) => !readonly && !/^\s*PRAGMA\b/i.test(source));
empty.close();

if (report !== undefined) process.on('exit', () => writeFileSync(report, String(steps)));
