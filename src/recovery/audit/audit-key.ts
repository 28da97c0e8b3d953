import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { generatePrivateKey } from '../../jose/index.js';
import { MpeError } from '../../ops/errors.js';
import type { PrivateJwk } from '../../protocol/jwk.js';
import { KEY_FILES, readSigningKey } from '../../secrets/key-files.js';
import { writeKeyFile } from '../../secrets/write-key-files.js';

/** Whether a key folder holds the audit key. */
export function holdsAuditKey(keysDir: string): boolean {
  return existsSync(join(keysDir, KEY_FILES.auditKey));
}

/**
 * The key that signs checkpoints.
 *
 * @throws MpeError KEY_FOLDER_INVALID where it is missing or damaged
 */
export function readAuditKey(keysDir: string): PrivateJwk {
  if (!holdsAuditKey(keysDir)) {
    throw new MpeError(
      'KEY_FOLDER_INVALID',
      `key folder ${keysDir} holds no ${KEY_FILES.auditKey}. Bring it from the host where the site was made or from ` +
        'a backup; a site of an older release makes it once: mpe audit key --create',
    );
  }
  return readSigningKey(keysDir, KEY_FILES.auditKey);
}

/**
 * Makes the audit key of a site that has none.
 *
 * @throws MpeError KEY_FOLDER_INVALID where there is one: it is never replaced
 */
export async function createAuditKey(keysDir: string): Promise<PrivateJwk> {
  if (holdsAuditKey(keysDir))
    throw new MpeError(
      'KEY_FOLDER_INVALID',
      `key folder ${keysDir} holds an audit key already; it is never replaced`,
    );
  const key = await generatePrivateKey('ES256');
  writeKeyFile(keysDir, KEY_FILES.auditKey, `${JSON.stringify(key, null, 2)}\n`);
  return key;
}
