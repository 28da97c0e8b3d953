import type { SecretPosition, StoredSecret } from '../site-store.js';
import type { Connection } from './connection.js';
import { secretsPage } from './secrets-page.js';

const PAGE = 256;

/**
 * Every stored generation in order of (secret id, generation), read page by page so that the
 * connection is free in between. What is added while the stream runs may or may not appear.
 */
export async function* streamSecrets(c: Connection): AsyncGenerator<StoredSecret> {
  let after: SecretPosition | null = null;
  for (;;) {
    const page: StoredSecret[] = secretsPage(c, after, PAGE);
    yield* page;
    const last = page.at(-1);
    if (last === undefined || page.length < PAGE) return;
    after = { secretId: last.identity.secretId, generation: last.generation };
    await new Promise((resume) => setImmediate(resume));
  }
}
