#!/usr/bin/env node
/** The command line: it only dispatches. One file per command under src/commands/, one line here. */
import { Command, CommanderError } from 'commander';
import { isMpeError } from './ops/errors.js';
import { redactText } from './ops/redact.js';
import { VERSION } from './ops/version.js';

/** A command file. */
interface CommandModule {
  register(program: Command): void;
}

/**
 * Every command by its first word, in the order of the help. Only what is called is loaded: most
 * commands need neither the queue nor HTTP, and start at once.
 */
const COMMANDS: Readonly<Record<string, readonly (() => Promise<CommandModule>)[]>> = {
  site: [
    () => import('./commands/site-init.js'),
    () => import('./commands/site-show.js'),
    () => import('./commands/site-hash.js'),
    () => import('./commands/site-publish.js'),
  ],
  'site-keys': [() => import('./commands/site-keys.js')],
  'gateway-keys': [() => import('./commands/gateway-keys.js')],
  up: [() => import('./commands/up.js')],
  gateway: [() => import('./commands/gateway.js')],
  worker: [() => import('./commands/worker.js')],
  recovery: [() => import('./commands/recovery.js')],
  status: [() => import('./commands/status.js')],
  doctor: [() => import('./commands/doctor.js')],
  messages: [() => import('./commands/messages.js')],
  policy: [() => import('./commands/policy.js')],
  rings: [() => import('./commands/rings.js')],
  'management-points': [() => import('./commands/management-points.js')],
  devices: [() => import('./commands/devices.js')],
  report: [() => import('./commands/report-coverage.js')],
  clients: [() => import('./commands/clients.js'), () => import('./commands/clients-tag.js')],
  keys: [() => import('./commands/keys.js')],
  rotations: [() => import('./commands/rotations.js')],
  accounts: [() => import('./commands/accounts.js')],
  'break-glass': [() => import('./commands/break-glass.js')],
  'enrolment-tokens': [() => import('./commands/enrolment-tokens.js')],
  certificate: [
    () => import('./commands/certificate-create.js'),
    () => import('./commands/certificate-import.js'),
    () => import('./commands/certificate-rotate.js'),
    () => import('./commands/certificate-status.js'),
    () => import('./commands/certificate-verify.js'),
    () => import('./commands/certificate-backup.js'),
    () => import('./commands/certificate-restore.js'),
  ],
  audit: [() => import('./commands/audit.js')],
  incident: [() => import('./commands/incident.js'), () => import('./commands/incident-print.js')],
  migrate: [() => import('./commands/migrate.js')],
  store: [() => import('./commands/store-copy.js')],
  secrets: [() => import('./commands/secrets-list.js'), () => import('./commands/secrets-verify.js')],
  backup: [() => import('./commands/backup.js')],
  restore: [() => import('./commands/restore.js')],
  client: [() => import('./commands/client.js')],
  fixtures: [() => import('./commands/fixtures.js')],
  replay: [() => import('./commands/replay.js')],
};

/** Exit status of a wrong call or configuration; everything else that fails is 1. */
const EXIT_USAGE = 2;
/** Exit status of a recovery service whose certificate opens nothing here. */
const EXIT_CERTIFICATE = 3;

async function program(firstWord: string): Promise<Command> {
  const root = new Command('mpe')
    .description('Message processing engine for BitLocker recovery')
    .version(VERSION)
    .showHelpAfterError()
    .showSuggestionAfterError()
    .exitOverride()
    .addHelpText('after', '\nSettings are MPE_* variables of the environment: docs/configuration.md');
  // Help and errors name every command.
  const called = Object.hasOwn(COMMANDS, firstWord) ? COMMANDS[firstWord] : Object.values(COMMANDS).flat();
  for (const load of called ?? []) (await load()).register(root);
  return root;
}

/** One clear line with the code and what to do; the stack only when debugging. */
function explain(error: unknown): { readonly text: string; readonly status: number } {
  const debug = ['debug', 'trace'].includes(process.env['MPE_LOG_LEVEL'] ?? '');
  const stack = debug && error instanceof Error ? `\n${error.stack ?? ''}` : '';
  if (isMpeError(error)) {
    const usage = error.code === 'USAGE' || error.code === 'CONFIG_INVALID';
    const status = usage ? EXIT_USAGE : error.code === 'CERTIFICATE_UNUSABLE' ? EXIT_CERTIFICATE : 1;
    return { text: `mpe: ${error.code}: ${error.message}${stack}`, status };
  }
  const message = error instanceof Error ? error.message : 'unknown error';
  const hint = debug ? '' : ' (run again with MPE_LOG_LEVEL=debug for the stack)';
  return { text: `mpe: INTERNAL: ${message}${hint}${stack}`, status: 1 };
}

// `mpe … | head` is no error.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  process.exit(error.code === 'EPIPE' ? 0 : 1);
});

try {
  await (await program(process.argv[2] ?? '')).parseAsync();
} catch (error) {
  if (error instanceof CommanderError) {
    // Commander has printed its own text.
    process.exitCode = error.exitCode === 0 ? 0 : EXIT_USAGE;
  } else {
    const { text, status } = explain(error);
    process.stderr.write(`${redactText(text)}\n`);
    process.exitCode = status;
  }
}
