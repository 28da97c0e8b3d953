// `npm test`: set-up, says what will not run and why, runs the tests with at most two workers, and
// says how to repeat each failure. Arguments go to vitest: npm test -- test/store -t 'a name'.
// The last line is always "N passed, N failed[, N skipped]".
import { spawn } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { importTypeScript } from './lib/run-typescript.mjs';
import { bold, duration, red, Refusal, runMain, yellow } from './lib/terminal.mjs';
import { root, setUp } from './setup.mjs';

// Caches of the tools themselves.
const TOOLS = /^(tsx-|node-compile-cache|v8-compile-cache|vitest)/;

/** What does not run here, why, and how to run it. */
function notRun({ chromium }, dropsSentChain) {
  const lines = [];
  if (chromium.path === null)
    lines.push(
      `the portals in a browser: there is no Chromium here (${chromium.why}).\n` +
        `     Run them: ${chromium.command} && npm test -- test/portal`,
    );
  if (!process.env.MPE_TEST_SQLSERVER_URL)
    lines.push(
      'store conformance on SQL Server: MPE_TEST_SQLSERVER_URL is not set.\n' +
        '     Run it: MPE_TEST_SQLSERVER_URL=mssql://user:password@host/database npm test -- test/store',
    );
  if (dropsSentChain())
    lines.push(
      `client certificates below an intermediate CA: Node ${process.versions.node} drops what clients send of them.\n` +
        '     Run them: with Node 24.22.1 or later, npm test -- test/ingest',
    );
  lines.push(
    'the full chaos campaign (ten seeds, 2,000 messages each; one small seed does run): it takes minutes.\n' +
      '     Run it: npm run chaos -- --seeds 10 --messages 2000',
  );
  return lines;
}

/** Our own settings, a developer's environment must not change what tests mean. */
function testEnvironment(folder) {
  const kept = ([name]) => !name.startsWith('MPE_') || name === 'MPE_TEST_SQLSERVER_URL';
  // Everything temporary lies in one folder, so that what a test leaves behind is seen.
  return { ...Object.fromEntries(Object.entries(process.env).filter(kept)), TMPDIR: folder };
}

function vitest(args, folder, jsonFile) {
  return new Promise((resolve, reject) => {
    const child = spawn(
      process.execPath,
      [
        join(root, 'node_modules', 'vitest', 'vitest.mjs'),
        ...[
          'run',
          '--maxWorkers=2',
          '--reporter=default',
          '--reporter=json',
          `--outputFile.json=${jsonFile}`,
        ],
        ...args,
      ],
      { cwd: root, stdio: ['ignore', 'inherit', 'inherit'], env: testEnvironment(folder) },
    );
    child.once('error', reject);
    child.once('exit', (code, signal) => resolve(code ?? signal));
  });
}

/** Processes that are still there; what was killed a moment ago may need one to be gone. */
async function leftOver(look) {
  const until = performance.now() + 10_000;
  while (look().length > 0 && performance.now() < until) await sleep(100);
  return look();
}

/** A word as the shell takes it. */
const quoted = (text) => `'${text.replaceAll("'", "'\\''")}'`;
/** A name as the regular expression that -t takes. */
const literal = (text) => text.replaceAll(/[.*+?^${}()|[\]\\]/g, '\\$&');

function reportFailures(report) {
  const lines = [];
  for (const file of report.testResults) {
    const path = relative(root, file.name);
    const failed = file.assertionResults.filter((test) => test.status === 'failed');
    for (const test of failed)
      lines.push(
        `${path} > ${test.fullName}`,
        `     npx vitest run ${path} -t ${quoted(`^${literal(test.fullName)}$`)}`,
      );
    if (failed.length === 0 && file.status === 'failed')
      lines.push(
        `${path}: the file itself failed (${file.message.split('\n')[0]})`,
        `     npx vitest run ${path}`,
      );
  }
  if (lines.length > 0) console.log(`\n${red('Failed')}, each with the command that repeats it:`);
  for (const line of lines) console.log(line.startsWith(' ') ? line : `   ✗ ${line}`);
}

await runMain(async () => {
  const began = performance.now();
  // Ctrl-C ends vitest, which has it too; we still clean up and report.
  process.on('SIGINT', () => undefined);
  console.log(bold('mpe test'));
  const found = setUp({ browser: true });
  console.log('   will not run here:');
  const { dropsSentChain } = await importTypeScript('src/ops/sent-chain.ts');
  for (const line of notRun(found, dropsSentChain)) console.log(`   ${yellow('-')} ${line}`);
  const { processesUsing } = await importTypeScript('test/support/leaks.ts');
  // Short: the path of a socket has at most 107 characters.
  const folder = mkdtempSync(join(tmpdir(), 'mpe-'));
  try {
    const jsonFile = join(folder, 'report.json');
    const code = await vitest(process.argv.slice(2), folder, jsonFile);
    const left = await leftOver(() => processesUsing(folder));
    for (const { pid, command } of left) console.log(`   ✗ left running: ${pid} ${command}`);
    const litter = readdirSync(folder).filter((name) => name !== 'report.json' && !TOOLS.test(name));
    if (litter.length > 0)
      console.log(`   left by tests in the temporary folder, removed now: ${litter.join(', ')}`);
    let report;
    try {
      report = JSON.parse(readFileSync(jsonFile, 'utf8'));
    } catch {
      throw new Refusal(`vitest ended with ${code} and left no report\n0 passed, 1 failed`);
    }
    reportFailures(report);
    const brokenFiles = report.testResults.filter(
      (file) => file.status === 'failed' && !file.assertionResults.some((test) => test.status === 'failed'),
    ).length;
    const passed = report.numPassedTests;
    // An error outside any test (an unhandled rejection, say) fails the run as well.
    const failed = report.numFailedTests + brokenFiles || (code === 0 && left.length === 0 ? 0 : 1);
    const skipped = report.numPendingTests + (report.numTodoTests ?? 0);
    console.log(
      `\n${report.testResults.length} test files, ${duration(performance.now() - began)} with set-up`,
    );
    if (passed + failed === 0)
      console.log(red('NO TEST RAN: check the arguments and the include pattern of vitest.config.ts'));
    console.log(`${passed} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ''}`);
    return failed === 0 && passed > 0 ? 0 : 1;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});
