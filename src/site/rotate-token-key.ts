/**
 * The change of the token key, which signs site tokens.
 *
 * Steps: the new key is written to `gateway/token-key-next.json`; a site document is published that names new
 * and old, so that gateways verify tokens of both; then token-key.json becomes the new key, and the -next
 * goes. A call that was killed anywhere is finished by the same call again. Gateways that have not got the
 * new file sign with the old key, and all gateways verify it, until it is retired.
 */
import { existsSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { generatePrivateKey, publicPart } from '../jose/index.js';
import { MpeError } from '../ops/errors.js';
import type { PrivateJwk } from '../protocol/jwk.js';
import { KEY_FILES, readSigningKey, readTokenKeyTime } from '../secrets/key-files.js';
import { publishSiteDocument } from '../secrets/next-site-document.js';
import { addKeyFile, writeKeyFile } from '../secrets/write-key-files.js';
import { readTruth, type SiteChange } from './open-site.js';
import { SAME_CALL_MS } from './rotate.js';

/** What a site document holds at most. */
const MOST_TOKEN_KEYS = 32;

/** What {@link rotateTokenKey} came to. */
export interface TokenKeyRotated {
  /** The key that signs from now on. */
  readonly kid: string;
  /** False: the call before made it less than an hour ago, nothing was changed. */
  readonly changed: boolean;
  /** Version of the site document that names it. */
  readonly documentVersion: number;
}

/**
 * Gives the gateways a new token key beside the old one. The key folder that was given is out of date
 * afterwards: open it again.
 *
 * @param again - also where the present one is younger than an hour
 * @throws MpeError KEY_FOLDER_INVALID without `gateway/` and `root/`; nothing was changed then
 */
export async function rotateTokenKey(
  change: SiteChange,
  { again }: { readonly again: boolean },
): Promise<TokenKeyRotated> {
  const { store, keyFolder, clock } = change;
  const { path, siteGuid } = keyFolder;
  const rootKey = keyFolder.rootKey();
  const present = keyFolder.tokenKey();
  const { document } = await readTruth(change);
  const begun = existsSync(join(path, KEY_FILES.tokenKeyNext));
  const since = readTokenKeyTime(path);
  // Another process rotated from beginning to end meanwhile: what was asked for is done.
  const doneMeanwhile = async (kid: string): Promise<TokenKeyRotated> => ({
    kid,
    changed: false,
    documentVersion: (await readTruth(change)).document.version,
  });
  if (!begun && !again && since !== null && clock.now() - since < SAME_CALL_MS) {
    const { kid } = readSigningKey(path, KEY_FILES.tokenKey);
    if (kid !== present.kid) return doneMeanwhile(kid);
    return { kid, changed: false, documentVersion: document.version };
  }
  if (!begun && document.tokenKeys.length >= MOST_TOKEN_KEYS)
    throw new MpeError(
      'VALUE_INVALID',
      `the site document names ${document.tokenKeys.length} token keys already: "mpe gateway-keys retire" first`,
    );
  const next = begun ? readSigningKey(path, KEY_FILES.tokenKeyNext) : await makeNext(path);
  const signs = readSigningKey(path, KEY_FILES.tokenKey).kid;
  if (!begun && signs !== present.kid) {
    rmSync(join(path, KEY_FILES.tokenKeyNext), { force: true });
    return doneMeanwhile(signs);
  }
  const published = await publishSiteDocument(store, { siteGuid, rootKey }, clock.now(), (current) =>
    current.tokenKeys.some((key) => key.kid === next.kid)
      ? null
      : { tokenKeys: [publicPart(next), ...current.tokenKeys] },
  );
  const madeAt = new Date(clock.now()).toISOString();
  writeKeyFile(path, KEY_FILES.tokenKey, json({ ...next, madeAt }));
  rmSync(join(path, KEY_FILES.tokenKeyNext), { force: true });
  return { kid: next.kid, changed: true, documentVersion: published.document.version };
}

async function makeNext(folder: string): Promise<PrivateJwk> {
  const next = await generatePrivateKey('ES256');
  // Another process was faster: both go on with its key.
  return addKeyFile(folder, KEY_FILES.tokenKeyNext, json(next))
    ? next
    : readSigningKey(folder, KEY_FILES.tokenKeyNext);
}

const json = (value: unknown): string => `${JSON.stringify(value, null, 2)}\n`;
