import { createReadStream } from 'node:fs';
import { createInterface } from 'node:readline';
import { MpeError } from '../../ops/errors.js';
import type { Attested } from './verify-audit.js';

/** A line that can be one of ours; the rest of a log is not parsed. */
const MARK = '"audit.row"';

/**
 * The rows of the audit that log files attest (event `audit.row`). Lines of other programs, and of a
 * collector that wraps ours in its own JSON, are read as far as they hold the event.
 *
 * @throws MpeError USAGE where a file cannot be read
 */
export async function readLogs(paths: readonly string[]): Promise<readonly Attested[]> {
  const found: Attested[] = [];
  for (const path of paths) {
    try {
      for await (const line of createInterface({
        input: createReadStream(path, 'utf8'),
        crlfDelay: Infinity,
      })) {
        if (!line.includes('audit.row')) continue;
        const row = rowOf(line);
        if (row !== null) found.push({ ...row, by: `the log (${path})` });
      }
    } catch (cause) {
      throw new MpeError('USAGE', `the log ${path} cannot be read`, { cause });
    }
  }
  return found;
}

function rowOf(line: string): { readonly sequence: bigint; readonly hash: string } | null {
  // A collector may have put our line into a string of its own.
  const plain = line.replaceAll('\\"', '"');
  if (!plain.replaceAll(' ', '').includes(`"event":${MARK}`)) return null;
  const sequence = /"sequence"\s*:\s*"(\d{1,19})"/.exec(plain)?.[1];
  const hash = /"hash"\s*:\s*"([0-9a-f]{64})"/.exec(plain)?.[1];
  return sequence === undefined || hash === undefined ? null : { sequence: BigInt(sequence), hash };
}
