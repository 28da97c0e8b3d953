import { join } from 'node:path';
import type { Guid } from '../../src/protocol/guid.js';
import { createSite, type CreatedSite } from '../../src/secrets/create-site.js';
import { openKeyFolder, type KeyFolder } from '../../src/secrets/key-folder.js';
import { makeSiteMaterial, type SiteMaterial } from '../../src/secrets/site-material.js';
import type { WorkerRows } from '../../src/secrets/site-check.js';
import { tempFolder } from '../support/temp.js';

/** 2026-01-02T03:04:05Z. */
export const NOW = Date.UTC(2026, 0, 2, 3, 4, 5);

export const guid = (n: number): Guid => `00000000-0000-4000-8000-${String(n).padStart(12, '0')}` as Guid;

/** A site and where its keys are. */
export interface TestSite extends CreatedSite {
  readonly keysDir: string;
  readonly keys: KeyFolder;
  /** What a worker reads from the database. */
  readonly rows: WorkerRows;
}

let shared: SiteMaterial | null = null;

/** RSA keys take seconds to make: one set serves all tests of a file. */
export async function sharedMaterial(): Promise<SiteMaterial> {
  shared ??= await makeSiteMaterial({ gatewayNames: ['localhost'], withCertificate: true, nowMs: NOW });
  return shared;
}

/** A new site; with the shared keys unless others are given. */
export async function testSite(
  material?: Partial<SiteMaterial>,
  options: { readonly plaintextConsent?: boolean } = {},
): Promise<TestSite> {
  const keysDir = join(tempFolder(), 'keys');
  const created = await createSite({
    name: 'TEST',
    keysDir,
    hostnames: [],
    testSite: true,
    now: NOW,
    material: { ...(await sharedMaterial()), ...material },
    ...options,
  });
  const { site, siteDocument, sealingKeys, fingerprintKey } = created.seed;
  return {
    ...created,
    keysDir,
    keys: await openKeyFolder(keysDir, 'operator'),
    rows: { site, siteDocumentJws: siteDocument.jws, sealingKeys, fingerprintKey },
  };
}
