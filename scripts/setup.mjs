// The set-up shared by `npm run demo`, `npm test` and .ci/run: Node, packages, build, redis-server.
// Plain Node, no dependency: nothing is installed yet when it starts.
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, lstatSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { buildIsFresh } from './lib/build-stamp.mjs';
import { findProgram, installPackages } from './lib/system-packages.mjs';
import { dim, duration, Refusal, runMain, step } from './lib/terminal.mjs';

export const root = join(dirname(fileURLToPath(import.meta.url)), '..');
const NODE_AT_LEAST = [20, 19];
const REDIS_AT_LEAST = [6, 2];

/**
 * Does whatever is missing, printing each step; throws Refusal with one message otherwise.
 * `browser`: also Chromium, which the tests of the portals need and nothing else.
 */
export function setUp({ browser = false } = {}) {
  refuseWindows();
  checkNode();
  installModules();
  build();
  const redisServer = ensureRedis();
  return { redisServer, chromium: browser ? ensureChromium() : null };
}

function refuseWindows() {
  if (process.platform !== 'win32') return;
  throw new Refusal(
    'redis-server does not run on Windows. Use WSL2. In PowerShell as administrator:\n' +
      '    wsl --install -d Debian\n' +
      '  then, in the Debian window, clone this repository, install Node 20.19 or later, and run the same command there.',
  );
}

function checkNode() {
  const [major = 0, minor = 0] = process.versions.node.split('.').map(Number);
  const [wantMajor, wantMinor] = NODE_AT_LEAST;
  if (major < wantMajor || (major === wantMajor && minor < wantMinor))
    throw new Refusal(
      `Node ${NODE_AT_LEAST.join('.')} or later is needed; this is ${process.versions.node}. Get one from nodejs.org, then run the same command again.`,
    );
  step(`node ${process.versions.node}`);
}

const modules = join(root, 'node_modules');
const hiddenLock = join(modules, '.package-lock.json');
// What the last set-up installed: the lock's hash, and the Node ABI that native parts were built for.
const modulesStamp = join(modules, '.mpe-setup');
const stampText = () =>
  `${createHash('sha256')
    .update(readFileSync(join(root, 'package-lock.json')))
    .digest('hex')} ${process.versions.modules}\n`;

/** Why node_modules does not do, or null. */
function modulesAreStale() {
  if (!existsSync(hiddenLock)) return 'absent';
  const known = existsSync(modulesStamp) ? readFileSync(modulesStamp, 'utf8') : null;
  if (known !== stampText()) {
    // Somebody may have run npm by hand since; a clone or checkout gives files new times.
    if (statSync(join(root, 'package-lock.json')).mtimeMs > statSync(hiddenLock).mtimeMs)
      return 'older than the lock';
    if (known !== null && !known.endsWith(` ${process.versions.modules}\n`)) return 'built for another Node';
  }
  return sqliteLoads() ? null : 'without a working better-sqlite3';
}

/** Whether the one native package that we cannot do without can be loaded here. */
function sqliteLoads() {
  const script = "new (require('better-sqlite3'))(':memory:').close()";
  return spawnSync(process.execPath, ['-e', script], { cwd: root, stdio: 'ignore' }).status === 0;
}

function npm(args) {
  // npm_execpath is the npm that started us; else the one in PATH.
  const own = process.env.npm_execpath;
  const [command, ...first] = own?.endsWith('.js') ? [process.execPath, own] : ['npm'];
  return spawnSync(command, [...first, ...args], {
    cwd: root,
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'pipe'],
  });
}

function installModules() {
  const began = performance.now();
  const why = modulesAreStale();
  if (why === null) {
    step('packages up to date');
    return;
  }
  if (lstatSync(modules, { throwIfNoEntry: false })?.isSymbolicLink() === true)
    throw new Refusal(
      `node_modules (${why}) is a link, and npm ci would empty the folder behind it. Remove the link, then run the same command again.`,
    );
  console.log(dim(`   … npm ci (node_modules ${why}); the first time takes a minute or two`));
  let result = npm(['ci', '--no-audit', '--no-fund']);
  if ((result.status !== 0 || !sqliteLoads()) && !hasCompiler()) {
    // better-sqlite3 takes a prebuilt binary where it can be downloaded and is compiled elsewhere.
    const tools = installPackages({
      apt: ['python3', 'make', 'g++'],
      dnf: ['python3', 'make', 'gcc-c++'],
      brew: ['python3', 'make', 'gcc'],
    });
    if (!tools.ok)
      throw new Refusal(
        `better-sqlite3 has to be compiled here and there is no compiler (${tools.why}). Run:\n    ${tools.command ?? 'install python3, make and a C++ compiler'}\n  then the same command again.`,
      );
    step(`compiler (${tools.by})`);
    result = npm(['ci', '--no-audit', '--no-fund']);
  }
  if (result.status !== 0 || !sqliteLoads()) throw new Refusal(`npm ci failed:\n${tail(result)}`);
  writeFileSync(modulesStamp, stampText());
  step(`packages ${duration(performance.now() - began)}`);
}

const hasCompiler = () =>
  ['python3', 'make'].every(findProgram) && ['c++', 'g++', 'clang++'].some(findProgram);

const tail = (result) =>
  `${result.stdout ?? ''}${result.stderr ?? ''}`.trim().split('\n').slice(-15).join('\n');

function build() {
  const began = performance.now();
  if (buildIsFresh(root)) {
    step('build up to date');
    return;
  }
  const result = spawnSync(process.execPath, [join(root, 'scripts', 'build.mjs')], {
    cwd: root,
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  if (result.status !== 0) throw new Refusal(`the build failed:\n${tail(result)}`);
  step(`build ${duration(performance.now() - began)}`);
}

function redisVersion(path) {
  const text = spawnSync(path, ['--version'], { encoding: 'utf8' }).stdout ?? '';
  return /v=(\d+\.\d+\.\d+)/.exec(text)?.[1] ?? null;
}

function ensureRedis() {
  const began = performance.now();
  let path = findProgram('redis-server');
  let how = '';
  if (path === null) {
    const result = installPackages({ apt: ['redis-server'], dnf: ['redis'], brew: ['redis'] });
    path = findProgram('redis-server');
    if (!result.ok || path === null)
      throw new Refusal(
        `redis-server is missing and could not be installed (${result.why ?? 'it is not in PATH'}). Run:\n    ${result.command ?? 'install redis-server 6.2 or later and put it in PATH'}\n  then the same command again.`,
      );
    how = ` (${result.by}, ${duration(performance.now() - began)})`;
  }
  const version = redisVersion(path);
  const [major = 0, minor = 0] = (version ?? '0.0').split('.').map(Number);
  if (major < REDIS_AT_LEAST[0] || (major === REDIS_AT_LEAST[0] && minor < REDIS_AT_LEAST[1]))
    throw new Refusal(
      `redis-server ${REDIS_AT_LEAST.join('.')} or later is needed; ${path} is ${version ?? 'of unknown version'}.`,
    );
  // Whoever we start finds it by name, also where PATH is short.
  const folder = dirname(path);
  if (!(process.env.PATH ?? '').split(':').includes(folder))
    process.env.PATH = `${process.env.PATH ?? ''}:${folder}`;
  step(`redis-server ${version}${how}`);
  return { path, version };
}

const BROWSERS = ['chromium', 'chromium-browser', 'google-chrome', 'google-chrome-stable'];

/**
 * A Chromium: { path } or, where there is none and none could be installed, { path: null, why, command }.
 * It stops nothing: the tests that need it are skipped, and say so.
 */
function ensureChromium() {
  const began = performance.now();
  const find = () => BROWSERS.map(findProgram).find((path) => path !== null) ?? null;
  let path = find();
  let how = '';
  if (path === null) {
    console.log(dim('   … chromium, for the tests of the portals; about 500 MB with what it needs'));
    // The fonts are only recommended by its package, and pages without one are boxes.
    const result = installPackages({
      apt: ['chromium', 'fonts-dejavu-core', 'fonts-liberation'],
      dnf: ['chromium'],
      brew: ['--cask', 'chromium'],
    });
    path = find();
    if (path === null) {
      const why = result.why ?? 'it is not in PATH';
      step(`no chromium (${why.split('\n')[0]}): the tests of the portals will be skipped`);
      return { path: null, why, command: result.command ?? 'install chromium' };
    }
    how = ` (${result.by}, ${duration(performance.now() - began)})`;
  }
  const text = spawnSync(path, ['--version'], { encoding: 'utf8' }).stdout ?? '';
  step(`chromium ${/\d+(?:\.\d+)+/.exec(text)?.[0] ?? 'of unknown version'}${how}`);
  return { path };
}

/** The version of an installed package. */
export function packageVersion(name) {
  return createRequire(join(root, 'package.json'))(`${name}/package.json`).version;
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href)
  await runMain(() => {
    setUp({ browser: process.argv.includes('--browser') });
  });
