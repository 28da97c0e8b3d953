import type { Command } from 'commander';
import { loadConfig } from '../config/index.js';
import { numberOption } from './number-option.js';
import { group } from './group.js';
import { print, printJson, time } from './output.js';
import type { FoundKey } from '../store/site-store.js';
import { withStore } from './with-store.js';

/** `mpe keys find`: metadata of keys; the key itself is shown by a disclosure alone. */
export function register(program: Command): void {
  group(program, 'keys', 'Stored keys; none of these commands shows one')
    .command('find')
    .description('find keys by the first eight or more hex digits of the key ID; metadata only')
    .argument('<prefix>', 'as the pre-boot screen shows it; case, braces and dashes do not matter')
    .option('--limit <n>', 'keys to show at most', numberOption('--limit', 1, 1000), 50)
    .option('--json', 'print them as JSON', false)
    .action(find);
}

async function find(
  prefix: string,
  options: { readonly limit: number; readonly json: boolean },
): Promise<void> {
  const found = await withStore(loadConfig(), (store) => store.findKeys(prefix, options.limit), {
    readOnly: true,
  });
  if (options.json) printJson(found);
  else if (found.length === 0) print('No key ID begins with these digits.');
  else print(...found.flatMap(linesOf), '', 'The key itself is shown by a disclosure alone.');
  if (found.length === 0) process.exitCode = 1;
}

function linesOf(key: FoundKey): string[] {
  const marks = [
    key.readable ? 'readable' : 'NOT READABLE',
    key.hasPackage ? 'key package' : '',
    key.conflict ? 'CONFLICT: two passwords under this key ID' : '',
    key.disclosed ? 'disclosed' : 'not disclosed',
  ];
  return [
    `${key.keyId}  volume ${key.volumeId} (${key.volumeType})`,
    `  ${marks.filter((mark) => mark !== '').join(', ')}; stored ${time(key.firstStoredAtMs)}, last proven ${time(key.lastProvenAtMs)}`,
    ...key.holders.map((holder) => {
      const machine = holder.machineName === '' ? '(no name)' : holder.machineName;
      const reported =
        holder.reportedAtMs === null ? 'never reported' : `reported ${time(holder.reportedAtMs)}`;
      return `  ${holder.current ? 'current of' : 'former of '} ${machine}  client ${holder.clientId}, ${reported}`;
    }),
  ];
}
