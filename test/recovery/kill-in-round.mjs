/**
 * For `node --import`: the process kills itself (SIGKILL, nothing cleans up) behind its n-th statement
 * that has the text KILL_AT in it, n from KILL_BEHIND.
 */
import Database from 'better-sqlite3';

const text = process.env.KILL_AT ?? '';
const fatal = Number(process.env.KILL_BEHIND);
let steps = 0;

const empty = new Database(':memory:');
const statement = Object.getPrototypeOf(empty.prepare('SELECT 1'));
empty.close();
for (const name of ['all', 'run']) {
  const real = statement[name];
  statement[name] = function (...values) {
    const result = real.apply(this, values);
    if (this.source.includes(text)) {
      steps += 1;
      if (steps === fatal) process.kill(process.pid, 'SIGKILL');
    }
    return result;
  };
}
