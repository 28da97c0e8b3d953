// Builds dist/: the protobuf module from proto/, the TypeScript, and the .sql migrations.
// `--proto` stops after the protobuf module.
import { spawnSync } from 'node:child_process';
import { chmodSync, cpSync, existsSync, mkdirSync, readdirSync, rmSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { sourceHash, writeStamp } from './lib/build-stamp.mjs';

const root = join(dirname(fileURLToPath(import.meta.url)), '..');
const bin = (name) => join(root, 'node_modules', '.bin', name);
const run = (command, args) => {
  const result = spawnSync(command, args, {
    cwd: root,
    stdio: 'inherit',
    shell: process.platform === 'win32',
  });
  // The tool has said what is wrong.
  if (result.status !== 0) process.exit(result.status ?? 1);
};

// Taken first: what changes while we build is then seen as not built.
const hash = sourceHash(root);
const generated = join(root, 'src', 'protocol', 'generated');
mkdirSync(generated, { recursive: true });
const protos = readdirSync(join(root, 'proto', 'mpe', 'v1')).filter((f) => f.endsWith('.proto'));
run(bin('pbjs'), [
  ...['-t', 'static-module', '-w', 'esm', '--dts', '--force-long', '--null-semantics'],
  ...['--no-delimited', '--no-typeurl', '--no-verify', '--no-service'],
  ...['--dependency', 'protobufjs/minimal.js', '-p', 'proto', '-o', 'src/protocol/generated/mpe.js'],
  ...protos.sort().map((f) => `proto/mpe/v1/${f}`),
]);
if (!process.argv.includes('--proto')) {
  rmSync(join(root, 'dist'), { recursive: true, force: true });
  run(bin('tsc'), ['-p', 'tsconfig.build.json']);
  cpSync(generated, join(root, 'dist', 'protocol', 'generated'), { recursive: true });
  // Migrations and roles; the folders beside them are there from the compiler.
  cpSync(join(root, 'src', 'store'), join(root, 'dist', 'store'), {
    recursive: true,
    filter: (from) => statSync(from).isDirectory() || from.endsWith('.sql'),
  });
  // What browsers get as it is: styles and scripts of the portals.
  const assets = join('recovery', 'portal', 'assets');
  cpSync(join(root, 'src', assets), join(root, 'dist', assets), { recursive: true });
  const main = join(root, 'dist', 'main.js');
  if (existsSync(main)) chmodSync(main, 0o755);
  writeStamp(root, hash);
}
