import { loadCertificate } from '../../src/secrets/certificate.js';
import { readFileSync, readdirSync } from 'node:fs';
import { createPublicKey } from 'node:crypto';
import { join } from 'node:path';
import { openSite } from '../../test/support/site-audit.js';
import { must, type DemoContext } from './context.js';

/** Part 1, after the packages: the site and every process, each looked at before it is named. */
export async function showSetUp(context: DemoContext): Promise<void> {
  const { screen, engine, material } = context;
  await engine.redis.start();
  const redis = engine.redis.connect();
  const setting = async (name: string): Promise<string> => String((await redis.config('GET', name))[1]);
  const fsync = await setting('appendfsync');
  const policy = await setting('maxmemory-policy');
  const port = await setting('port');
  redis.disconnect();
  must(port === '0', 'redis-server listens on a port');
  screen.ok(`redis-server pid ${engine.redis.pid}   AOF ${fsync}, ${policy}, socket only`);

  const store = await openSite(engine.home);
  const site = await store.readSite();
  const { detail } = await store.durability();
  await store.close();
  const pem = readFileSync(join(engine.home, 'keys', 'worker', 'BitLockerManagement_CERT.pem'), 'utf8');
  const certificate = loadCertificate(pem);
  const { type, details } = certificateKey(pem);
  screen.ok(
    `site "${site?.name ?? ''}"  root key ${material.site.rootKey.kid.slice(0, 8)}…  ` +
      `certificate BitLockerManagement_CERT ${type}-${details} ${certificate.thumbprint.slice(0, 8)}…`,
  );
  await engine.start();
  const [one, two] = engine.workers;
  screen.ok(
    `gateway ${engine.url} pid ${engine.gateway?.pid ?? 0} · workers pid ${one?.pid ?? 0}, ${two?.pid ?? 0} · SQLite ${detail}`,
  );
  const held = readdirSync(engine.keysOf('gateway'), { recursive: true }).map(String).sort();
  must(
    !held.some((name) => /worker|recovery|root/.test(name)),
    'the gateway holds a key that is not its own',
  );
}

function certificateKey(pem: string): { type: string; details: number } {
  const key = createPublicKey(pem);
  return { type: key.asymmetricKeyType ?? '', details: key.asymmetricKeyDetails?.modulusLength ?? 0 };
}
