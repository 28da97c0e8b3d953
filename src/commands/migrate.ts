import type { Command } from 'commander';
import { loadConfig } from '../config/index.js';
import { MpeError } from '../ops/errors.js';
import { applyStoreRoles, migrateStore, readRoles, readSchemaState } from '../store/migrate-store.js';
import { print, printJson } from './output.js';

interface Options {
  readonly check: boolean;
  readonly roles: boolean;
  readonly printRoles: boolean;
  readonly json: boolean;
}

/** Exit status of `--check` where migrations are pending. */
const EXIT_PENDING = 1;

/** `mpe migrate`: the schema of the site database. */
export function register(program: Command): void {
  program
    .command('migrate')
    .description('bring the schema of the site database up to this release')
    .option('--check', 'change nothing; exit 0 up to date, 1 migrations are pending', false)
    .option('--roles', 'SQL Server: also make the roles of gateway, worker, recovery and operators', false)
    .option('--print-roles', 'print the statements of --roles and do nothing', false)
    .option('--json', 'print the result as JSON', false)
    .addHelpText(
      'after',
      '\nSQLite is migrated whenever it is opened for writing. SQL Server is migrated by this command alone,\n' +
        'with a login that may change the schema; every other process needs only the role of its kind.',
    )
    .action(run);
}

async function run(options: Options): Promise<void> {
  if (options.check && (options.roles || options.printRoles)) {
    throw new MpeError('USAGE', '--check changes nothing: leave --roles and --print-roles away');
  }
  if (options.printRoles) print((await readRoles()).trimEnd());
  else if (options.check) await check(options);
  else await migrate(options);
}

async function check(options: Options): Promise<void> {
  const { applied, known } = await readSchemaState(loadConfig().store);
  const pending = numbers(applied, known);
  if (pending.length > 0) process.exitCode = EXIT_PENDING;
  if (options.json) printJson({ applied, known, pending });
  else if (pending.length === 0) print(`The schema is up to date: migration ${applied} of ${known}.`);
  else print(`Pending: ${named(pending)} of ${known}. Run "mpe migrate".`);
}

async function migrate(options: Options): Promise<void> {
  const { store } = loadConfig();
  if (options.roles && store.kind === 'sqlite') await applyStoreRoles(store);
  const done = await migrateStore(store, Date.now());
  const { applied, known } = await readSchemaState(store);
  if (options.roles) await applyStoreRoles(store);
  if (options.json) {
    printJson({ done, applied, known, roles: options.roles });
    return;
  }
  print(
    done.length === 0
      ? `Nothing to do: the schema is at migration ${applied} of ${known}.`
      : `Applied ${named(done)}; the schema is at migration ${applied} of ${known}.`,
    ...(options.roles
      ? ['The roles mpe_gateway, mpe_worker, mpe_recovery, mpe_operator and mpe_migration have their rights.']
      : []),
  );
}

/** The numbers above `applied`. */
function numbers(applied: number, known: number): number[] {
  return Array.from({ length: known - applied }, (_, index) => applied + 1 + index);
}

function named(list: readonly number[]): string {
  const [first = 0] = list;
  const last = list.at(-1) ?? 0;
  return first === last ? `migration ${first}` : `migrations ${first} to ${last}`;
}
