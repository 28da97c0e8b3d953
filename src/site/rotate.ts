import { generatePrivateKey, publicPart, wrapSecret } from '../jose/index.js';
import type { WorkerSecret } from '../secrets/key-files.js';
import type { SealingKeyRow } from '../store/site-store.js';
import { readTruth, type SiteChange } from './open-site.js';
import { publishSite, type Published } from './publish.js';

/** A key that is younger was made by the call before: the same call again makes no other. */
export const SAME_CALL_MS = 3_600_000;

/** An algorithm of sealing keys. */
export type SealingAlgorithm = SealingKeyRow['alg'];

/** What {@link rotateSealingKeys} came to. */
export interface Rotated {
  /** The keys that clients are to use from now on, one an algorithm. */
  readonly keys: readonly { readonly kid: string; readonly alg: SealingAlgorithm; readonly made: boolean }[];
  readonly published: Published;
}

/**
 * Gives the site new sealing keys beside the old ones.
 *
 * Steps: each key is stored first, then a document is published that offers new and old. So no client
 * ever seals to a key that the database does not hold. A call that was killed leaves a stored key that
 * no document names, and the next call takes that one; one that was killed after publishing finds the
 * key younger than an hour and makes no other.
 *
 * @param algs - of the new keys; absent: every algorithm that the document offers
 * @param again - make new ones although the newest are younger than an hour
 * @throws MpeError KEY_FOLDER_INVALID without `worker/` and `root/`; nothing was changed then
 */
export async function rotateSealingKeys(
  change: SiteChange,
  options: { readonly algs?: readonly SealingAlgorithm[] | undefined; readonly again?: boolean } = {},
): Promise<Rotated> {
  const { store, keyFolder, clock } = change;
  const secret = keyFolder.workerSecret();
  keyFolder.rootKey();
  const { truth, document } = await readTruth(change);
  const offered = new Set(document.sealingKeys.map((key) => key.kid));
  const cameBack = new Set(truth.archived.map((row) => row.kid));
  const algs = options.algs ?? [...new Set(document.sealingKeys.map((key) => key.alg as SealingAlgorithm))];
  const keys: { kid: string; alg: SealingAlgorithm; made: boolean }[] = [];
  for (const alg of algs) {
    const own = truth.sealingKeys.filter((row) => row.alg === alg && !cameBack.has(row.kid));
    const unpublished = own.find((row) => !offered.has(row.kid));
    const young = own.find((row) => clock.now() - row.createdAtMs < SAME_CALL_MS && own.length > 1);
    const taken = unpublished ?? (options.again === true ? undefined : young);
    if (taken !== undefined) {
      keys.push({ kid: taken.kid, alg, made: false });
      continue;
    }
    const row = await newSealingKey(alg, secret, clock.now());
    await store.addSealingKey(row);
    keys.push({ kid: row.kid, alg, made: true });
  }
  return { keys, published: await publishSite(change) };
}

async function newSealingKey(
  alg: SealingAlgorithm,
  secret: WorkerSecret,
  createdAtMs: number,
): Promise<SealingKeyRow> {
  const key = await generatePrivateKey(alg);
  return {
    kid: key.kid,
    alg,
    publicJwk: JSON.stringify(publicPart(key)),
    wrappedPrivate: await wrapSecret(Buffer.from(JSON.stringify(key), 'utf8'), secret),
    state: 'ACTIVE',
    createdAtMs,
  };
}
