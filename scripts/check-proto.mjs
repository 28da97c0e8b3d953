// `npm run proto:check`: is proto/ well formed and commented (buf lint), and does it still understand
// what older clients and servers write (buf breaking against proto/baseline/mpe-v1.binpb)?
//
//   --update     make the baseline anew from proto/; refused where the change is breaking
//   --root DIR   check another copy of buf.yaml and proto/ (the baseline stays this repository's)
//
// Exit 0: fine. 1: lint or a breaking change. 2: cannot check.
import { execFileSync, spawnSync } from 'node:child_process';
import { copyFileSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

const repository = join(dirname(fileURLToPath(import.meta.url)), '..');
const baseline = join(repository, 'proto', 'baseline', 'mpe-v1.binpb');
const { values } = parseArgs({ options: { update: { type: 'boolean' }, root: { type: 'string' } } });
const root = resolve(values.root ?? repository);
const windows = process.platform === 'win32';
const bufCommand = join(repository, 'node_modules', '.bin', windows ? 'buf.cmd' : 'buf');

const say = (text) => process.stdout.write(`${text}\n`);
const stop = (code, text) => {
  process.stderr.write(`${text}\n`);
  process.exit(code);
};

/** Runs buf; the answer is what it printed about the contract, '' where it found nothing. */
function buf(...args) {
  const run = spawnSync(bufCommand, args, { cwd: root, encoding: 'utf8', shell: windows });
  if (run.error !== undefined) stop(2, `buf cannot run (${run.error.message}): run npm ci first`);
  // buf's own code for "found something" is 100; everything else is a broken run.
  if (run.status !== 0 && run.status !== 100) stop(2, `buf ${args[0]} failed:\n${run.stderr}${run.stdout}`);
  return run.status === 0 ? '' : run.stdout + run.stderr;
}

/** The contract as an image, without comments, so that a new comment is no change. */
function buildImage(file) {
  execFileSync(bufCommand, ['build', '--exclude-source-info', '-o', file], {
    cwd: root,
    stdio: 'inherit',
    shell: windows,
  });
}

const lint = buf('lint');
if (lint !== '') stop(1, `proto: lint failed\n${lint}`);

if (existsSync(baseline)) {
  const breaking = buf('breaking', '--against', baseline);
  if (breaking !== '') {
    stop(
      1,
      `proto: breaking change against proto/baseline/mpe-v1.binpb\n${breaking}
Released clients and servers would misread each other. Instead, leave what is there as it is and add
a new field or value with a new number. If no release has what you change, delete
proto/baseline/mpe-v1.binpb, run npm run proto:check -- --update, and say in the commit why it is safe.`,
    );
  }
} else if (values.update !== true) {
  stop(2, 'proto: proto/baseline/mpe-v1.binpb is missing; make it with: npm run proto:check -- --update');
}

const folder = mkdtempSync(join(tmpdir(), 'mpe-proto-'));
try {
  const image = join(folder, 'mpe-v1.binpb');
  buildImage(image);
  const same = existsSync(baseline) && readFileSync(baseline).equals(readFileSync(image));
  if (values.update === true) {
    if (process.env.CI) stop(2, 'proto: the baseline is not updated in CI');
    mkdirSync(dirname(baseline), { recursive: true });
    copyFileSync(image, baseline);
    say(same ? 'proto: the baseline was up to date' : 'proto: the baseline is new; commit it');
  } else {
    say('proto: lint clean, nothing breaks what the baseline describes');
    if (!same) {
      say(
        'proto: there are additions that the baseline does not know; with the next release run\n' +
          '       npm run proto:check -- --update, so that they are guarded too',
      );
    }
  }
} finally {
  rmSync(folder, { recursive: true, force: true });
}
