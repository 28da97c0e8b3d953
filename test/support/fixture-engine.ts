import { join } from 'node:path';
import { mkdirSync } from 'node:fs';
import { formatEnrolmentToken } from '../../src/protocol/enrolment-token.js';
import { DEFAULT_FIXTURES, materialOf } from '../../src/replay/fixture-folder.js';
import { makeFixtureSite } from '../../src/replay/fixture-site.js';
import type { FixtureMaterial } from '../../src/replay/material.js';
import { openStore } from '../../src/store/open-store.js';
import type { Engine } from './engine.js';

/** The folder of the recorded cases. */
export const FIXTURES = DEFAULT_FIXTURES;

/** The public test keys that the recorded cases are sealed to. */
export function fixtureMaterial(): FixtureMaterial {
  return materialOf(FIXTURES);
}

/** Makes the engine's site with the fixture keys, so that recorded cases can be sent to it. */
export async function initFixtureSite(engine: Engine, material: FixtureMaterial): Promise<string> {
  mkdirSync(engine.home, { recursive: true, mode: 0o700 });
  const store = await openStore({ kind: 'sqlite', path: join(engine.home, 'site.db') });
  try {
    const keysDir = join(engine.home, 'keys');
    await store.createSite(await makeFixtureSite('standard', material, keysDir, Date.now()));
  } finally {
    await store.close();
  }
  return formatEnrolmentToken({
    siteGuid: material.siteGuid,
    rootThumbprint: material.site.rootKey.kid,
    secret: Buffer.from(material.enrolmentSecret, 'base64url'),
  });
}
