// Finds programs, and installs missing ones with the system's package manager where that needs
// no password: as root, by sudo without a password, or by brew.
import { spawnSync } from 'node:child_process';
import { accessSync, constants, existsSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { dim, duration } from './terminal.mjs';

// Where package managers put programs, also when PATH is short.
const USUAL = ['/usr/local/bin', '/usr/bin', '/usr/sbin', '/opt/homebrew/bin'];

/** The full path of a program, or null. */
export function findProgram(name) {
  for (const folder of [...(process.env.PATH ?? '').split(delimiter), ...USUAL]) {
    const path = join(folder || '.', name);
    try {
      accessSync(path, constants.X_OK);
      return path;
    } catch {
      // Not here.
    }
  }
  return null;
}

const quiet = (command, args, env = {}) =>
  spawnSync(command, args, {
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, ...env },
    timeout: 10 * 60_000,
  });

/** How to become root without being asked: [] as root, a sudo prefix, or null. */
function rootPrefix() {
  if (process.getuid?.() === 0) return [];
  if (findProgram('sudo') && quiet('sudo', ['-n', 'true']).status === 0) return ['sudo', '-n'];
  return null;
}

/** The package manager of this system: its name, the command a person types, and how we run it. */
function manager(packages) {
  if (findProgram('apt-get'))
    return {
      name: 'apt',
      asRoot: true,
      command: `sudo apt-get update && sudo apt-get install -y ${packages.apt.join(' ')}`,
      steps: [
        ['apt-get', 'update', '-q'],
        ['apt-get', 'install', '-y', '-q', '--no-install-recommends', ...packages.apt],
      ],
    };
  if (findProgram('dnf'))
    return {
      name: 'dnf',
      asRoot: true,
      command: `sudo dnf install -y ${packages.dnf.join(' ')}`,
      steps: [['dnf', 'install', '-y', '-q', ...packages.dnf]],
    };
  if (findProgram('brew'))
    return {
      name: 'brew',
      asRoot: false,
      command: `brew install ${packages.brew.join(' ')}`,
      steps: [['brew', 'install', '--quiet', ...packages.brew]],
    };
  return null;
}

/** How long another package manager is waited for: a fresh machine updates itself after its start. */
const LOCKED_MS = 5 * 60_000;
/** What apt, dpkg and brew say of a lock that somebody else has; not of one that we may not take. */
const LOCKED =
  /is held by process|another process using it|locked by another process|lock.*Resource temporarily unavailable|process has already locked/i;

/** Runs steps, each again while another package manager holds the lock, until one time for all of them. */
function lockWaiter() {
  const until = performance.now() + LOCKED_MS;
  let told = false;
  return (step) => {
    for (;;) {
      const result = step();
      const locked = result.status !== 0 && LOCKED.test(result.stderr ?? '');
      if (!locked || performance.now() > until) return result;
      if (!told)
        console.log(
          `   ${dim('…')} another package manager is at work here: waiting for it, at most ${duration(LOCKED_MS)}`,
        );
      told = true;
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 5000);
    }
  };
}

/**
 * Installs packages ({apt, dnf, brew}: lists of names).
 * Returns {ok: true, by} or {ok: false, command, why}: the command for a person to run.
 */
export function installPackages(packages) {
  const found = manager(packages);
  if (found === null) return { ok: false, command: null, why: 'no apt-get, dnf or brew on this system' };
  const prefix = found.asRoot ? rootPrefix() : [];
  if (prefix === null)
    return {
      ok: false,
      command: found.command,
      why: `${found.name} needs root, and sudo asks for a password`,
    };
  const whileLocked = lockWaiter();
  for (const words of found.steps) {
    // sudo drops variables: they are passed by env, as arguments.
    const settings = ['DEBIAN_FRONTEND=noninteractive', 'LC_ALL=C'];
    const [command, ...args] = [...prefix, 'env', ...settings, ...words];
    const run = () => quiet(command, args);
    // A service must not start by itself: we want the program, not a server on a well-known port.
    const holds = found.name === 'apt' && words.includes('install');
    const result = whileLocked(holds ? () => withServicesHeld(prefix, run) : run);
    // An update that fails may be an old mirror: the install decides.
    if (result.status !== 0 && !words.includes('update')) {
      const last = `${result.stdout ?? ''}${result.stderr ?? ''}`.trim().split('\n').slice(-3).join('\n    ');
      return { ok: false, command: found.command, why: `${words.join(' ')} failed:\n    ${last}` };
    }
  }
  return { ok: true, by: found.name };
}

/**
 * Debian starts a service when its package is installed, unless /usr/sbin/policy-rc.d says no.
 * Puts such a file where none is, for this one run: others who install meanwhile would have it too.
 */
function withServicesHeld(prefix, run) {
  const path = '/usr/sbin/policy-rc.d';
  if (existsSync(path)) return run();
  const [shell, ...args] = [...prefix, 'sh', '-c'];
  quiet(shell, [...args, `printf '#!/bin/sh\\nexit 101\\n' > ${path} && chmod 755 ${path}`]);
  try {
    return run();
  } finally {
    quiet(shell, [...args, `rm -f ${path}`]);
  }
}
