// `node ready.mjs PORT`: exit 0 where this container's ops server says that it is ready. The image has
// no curl. Readiness, not liveness: nothing is restarted by it, and people see what is wrong.
const port = process.argv[2];
try {
  const response = await fetch(`http://127.0.0.1:${port}/readyz`, { signal: AbortSignal.timeout(4000) });
  process.stdout.write(await response.text());
  process.exitCode = response.ok ? 0 : 1;
} catch {
  process.stdout.write(`no answer on port ${port}\n`);
  process.exitCode = 1;
}
