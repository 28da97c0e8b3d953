import type { Command } from 'commander';
import { redactText } from '../ops/redact.js';
import { DoctorContext } from './doctor/context.js';
import { databaseChecks } from './doctor/database-checks.js';
import { runCheck, type Finding, type FindingState } from './doctor/finding.js';
import { hostChecks } from './doctor/host-checks.js';
import { serviceChecks } from './doctor/service-checks.js';

/** `mpe doctor`: every check there is, each with its fix. Exit 0 ok, 1 warnings, 2 failures. */
export function register(program: Command): void {
  program
    .command('doctor')
    .description('check everything and say how to mend it; exit 0 ok, 1 warnings, 2 failures')
    .option('--json', 'print it as JSON', false)
    .addHelpText('after', '\nIt changes nothing, and works when everything is down.')
    .action(run);
}

const EXIT = { ok: 0, warn: 1, fail: 2 } as const satisfies Record<FindingState, number>;

async function run(options: { readonly json: boolean }): Promise<void> {
  const context = new DoctorContext(process.env);
  const checks = [...hostChecks(context), ...databaseChecks(context), ...serviceChecks(context)];
  const findings = (await Promise.all(checks.map(runCheck))).flat();
  const state = worst(findings);
  const text = options.json
    ? JSON.stringify({ state, findings }, null, 2)
    : [...findings.flatMap(lines), '', summary(findings)].join('\n');
  // A connection that hangs must not keep what is done: it ends once the text is out.
  process.stdout.write(`${redactText(text)}\n`, () => process.exit(EXIT[state]));
}

function worst(findings: readonly Finding[]): FindingState {
  const has = (state: FindingState): boolean => findings.some((finding) => finding.state === state);
  return has('fail') ? 'fail' : has('warn') ? 'warn' : 'ok';
}

function lines({ check, state, text, fix }: Finding): string[] {
  const word = state === 'ok' ? 'ok  ' : state.toUpperCase();
  const line = `${word}  ${check.padEnd(17)}  ${text}`;
  return fix === null ? [line] : [line, `      ${''.padEnd(17)}  fix: ${fix}`];
}

function summary(findings: readonly Finding[]): string {
  const count = (state: FindingState): number => findings.filter((finding) => finding.state === state).length;
  return `${count('ok')} ok, ${count('warn')} warnings, ${count('fail')} failures`;
}
