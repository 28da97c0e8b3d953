#!/usr/bin/env node
/** The command line: it only dispatches. One file per command under src/commands/, one line here. */
import { Command, CommanderError } from 'commander';
import * as client from './commands/client.js';
import * as clients from './commands/clients.js';
import * as enrolmentTokens from './commands/enrolment-tokens.js';
import * as keys from './commands/keys.js';
import * as messages from './commands/messages.js';
import * as gateway from './commands/gateway.js';
import * as secretsVerify from './commands/secrets-verify.js';
import * as siteInit from './commands/site-init.js';
import * as siteShow from './commands/site-show.js';
import * as status from './commands/status.js';
import * as up from './commands/up.js';
import * as worker from './commands/worker.js';
import * as fixtures from './commands/fixtures.js';
import * as replay from './commands/replay.js';
import * as siteHash from './commands/site-hash.js';
import { isMpeError } from './ops/errors.js';
import { redactText } from './ops/redact.js';
import { VERSION } from './ops/version.js';

/** Every command, in the order of the help. */
const COMMANDS: readonly { register(program: Command): void }[] = [
  siteInit,
  siteShow,
  siteHash,
  up,
  worker,
  status,
  messages,
  clients,
  keys,
  enrolmentTokens,
  secretsVerify,
  fixtures,
  replay,
  gateway,
  client,
];

/** Exit status of a wrong call or configuration; everything else that fails is 1. */
const EXIT_USAGE = 2;

function program(): Command {
  const root = new Command('mpe')
    .description('Message processing engine for BitLocker recovery')
    .version(VERSION)
    .showHelpAfterError()
    .showSuggestionAfterError()
    .exitOverride()
    .addHelpText('after', '\nSettings are MPE_* variables of the environment: docs/configuration.md');
  for (const command of COMMANDS) command.register(root);
  return root;
}

/** One clear line with the code and what to do; the stack only when debugging. */
function explain(error: unknown): { readonly text: string; readonly status: number } {
  const debug = ['debug', 'trace'].includes(process.env['MPE_LOG_LEVEL'] ?? '');
  const stack = debug && error instanceof Error ? `\n${error.stack ?? ''}` : '';
  if (isMpeError(error)) {
    const usage = error.code === 'USAGE' || error.code === 'CONFIG_INVALID';
    return { text: `mpe: ${error.code}: ${error.message}${stack}`, status: usage ? EXIT_USAGE : 1 };
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
  await program().parseAsync();
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
