/**
 * The change of the site root key.
 *
 * Steps: the new key is written to `root/root-key-next.json`; a site document is published that the new
 * key signs and that carries the old key's word for it; then the key folder takes the new key: the old
 * one is kept beside it, site.json names the new root, root-key.json is the new key, and
 * root-key-next.json goes. A call that was killed anywhere is finished by the same call again, and by
 * every other command that signs.
 */
import { existsSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { generatePrivateKey, publicPart, signRootChange, signSiteDocument } from '../jose/index.js';
import type { PrivateJwk } from '../protocol/jwk.js';
import type { SiteDocument } from '../protocol/site-document.js';
import { KEY_FILES, readSigningKey, readSiteFile } from '../secrets/key-files.js';
import type { KeyFolder } from '../secrets/key-folder.js';
import { addKeyFile, writeKeyFile } from '../secrets/write-key-files.js';
import { readTruth, type SiteChange } from './open-site.js';
import { DOCUMENT_LIFE_MS } from './publish.js';
import { documentOf } from './site-truth.js';

const NEXT = 'root/root-key-next.json';

const json = (value: unknown): string => `${JSON.stringify(value, null, 2)}\n`;

/**
 * Hands the site over to a new root key. The key folder that was given is out of date afterwards:
 * open it again.
 *
 * @throws MpeError KEY_FOLDER_INVALID without `root/`; VALUE_INVALID where somebody published meanwhile
 */
export async function changeRoot(change: SiteChange): Promise<SiteDocument> {
  const { store, keyFolder, clock } = change;
  const { truth, document } = await readTruth(change);
  const next = takeNext(keyFolder) ?? (await makeNext(keyFolder));
  if (document.rootKey.kid === next.kid) {
    takeOver(keyFolder, next);
    return document;
  }
  const old = keyFolder.rootKey();
  const nowMs = clock.now();
  const changed: SiteDocument = {
    ...document,
    ...documentOf(document, truth),
    version: document.version + 1,
    issuedAtMs: nowMs,
    expiresAtMs: nowMs + DOCUMENT_LIFE_MS,
    rootKey: publicPart(next),
    rootChanges: [
      ...(document.rootChanges ?? []),
      await signRootChange(keyFolder.siteGuid, old, next, nowMs),
    ],
  };
  await store.appendSiteDocument(changed.version, await signSiteDocument(changed, next));
  takeOver(keyFolder, next);
  return changed;
}

/**
 * Finishes a root change whose document is published and whose key folder is not changed yet.
 *
 * @returns whether the key folder was changed: open it again
 */
export async function finishRootChange(change: SiteChange): Promise<boolean> {
  const next = takeNext(change.keyFolder);
  if (next === null) return false;
  const { document } = await readTruth(change);
  if (document.rootKey.kid !== next.kid) return false;
  takeOver(change.keyFolder, next);
  return true;
}

function takeNext(keyFolder: KeyFolder): PrivateJwk | null {
  return existsSync(join(keyFolder.path, NEXT)) ? readSigningKey(keyFolder.path, NEXT) : null;
}

async function makeNext(keyFolder: KeyFolder): Promise<PrivateJwk> {
  // Refuses a folder without root/ before a key is made.
  keyFolder.rootKey();
  const next = await generatePrivateKey('ES256');
  // Another process was faster: both go on with its key, so that none is published whose file was replaced.
  return addKeyFile(keyFolder.path, NEXT, json(next)) ? next : readSigningKey(keyFolder.path, NEXT);
}

function takeOver({ path }: KeyFolder, next: PrivateJwk): void {
  const current = readSigningKey(path, KEY_FILES.rootKey);
  if (current.kid !== next.kid) {
    // Kept: a database that is restored from before the change is signed by it.
    writeKeyFile(path, `root/root-key-${current.kid.slice(0, 16)}.json`, json(current));
  }
  const site = readSiteFile(path);
  writeKeyFile(path, KEY_FILES.site, json({ format: 1, ...site, rootThumbprint: next.kid }));
  writeKeyFile(path, KEY_FILES.rootKey, json(next));
  rmSync(join(path, NEXT), { force: true });
}
