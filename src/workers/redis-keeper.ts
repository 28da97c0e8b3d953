/**
 * Keeps a private redis-server running for `mpe up`; a process of its own, because redis-server
 * itself cannot notice that `mpe up` was killed. Started with an IPC channel; arguments are those of
 * redis-server. Starts it again when it crashes, ends it (in order, its data on disk) when asked to
 * or when the channel closes.
 */
import { spawn, type ChildProcess } from 'node:child_process';

const RESTART_MS = 300;

let stopping = false;
let server: ChildProcess | null = null;

function start(): void {
  // A group of its own: Ctrl-C in the terminal must not end it before the workers are done.
  const child = spawn('redis-server', process.argv.slice(2), { stdio: 'ignore', detached: true });
  server = child;
  child.once('error', (error: NodeJS.ErrnoException) => {
    process.send?.({ kind: 'failed', code: error.code ?? 'unknown' });
    process.exit(1);
  });
  child.once('exit', (code, signal) => {
    server = null;
    if (stopping) process.exit(0);
    process.send?.({ kind: 'crashed', code, signal });
    setTimeout(start, RESTART_MS);
  });
}

function stop(): void {
  if (stopping) return;
  stopping = true;
  if (server === null) process.exit(0);
  server.kill('SIGTERM');
}

process.on('SIGTERM', stop);
process.on('SIGINT', () => undefined);
process.once('disconnect', stop);
start();
