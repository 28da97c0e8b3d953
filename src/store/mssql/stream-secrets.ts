import type { SecretPosition, StoredSecret } from '../site-store.js';
import { again } from './again.js';
import { secretsPage } from './secrets-page.js';
import type { Session } from './session.js';

const PAGE = 256;

/**
 * Every stored generation in order of (secret id, generation), read page by page, so that no
 * connection is held while the caller takes its time, and a page that failed is read again. What is
 * added while the stream runs may or may not appear.
 */
export async function* streamSecrets(session: Session): AsyncGenerator<StoredSecret> {
  let after: SecretPosition | null = null;
  for (;;) {
    const position: SecretPosition | null = after;
    const page: StoredSecret[] = await again('reading secrets', () => secretsPage(session, position, PAGE));
    yield* page;
    const last = page.at(-1);
    if (last === undefined || page.length < PAGE) return;
    after = { secretId: last.identity.secretId, generation: last.generation };
  }
}
