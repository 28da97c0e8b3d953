import { createDecipheriv, createHash, createPrivateKey, createPublicKey, type KeyObject } from 'node:crypto';
import Database from 'better-sqlite3';
import { calculateJwkThumbprint, compactDecrypt, decodeProtectedHeader, type JWK } from 'jose';
import { decodeClientMessage } from '../../src/protocol/decode-client-message.js';
import { readAll } from './canary.js';

/** What a thief holds. */
export interface Stolen {
  /** Folders and files, copied. */
  readonly files: readonly string[];
  /** SQLite files, copied. */
  readonly databases: readonly string[];
  /** Data keys from a process' memory. */
  readonly dataKeys?: ReadonlyMap<string, Buffer>;
}

interface StoredRow {
  readonly kind: number;
  readonly keyId: string;
  readonly volumeId: string;
  readonly dataKeyId: string;
  readonly content: Buffer;
}

const TOKEN = /eyJ[\w-]+\.[\w-]*\.[\w-]+\.[\w-]+\.[\w-]{22}/g;
const PEM = /-----BEGIN PRIVATE KEY-----[^-]+-----END PRIVATE KEY-----/g;
const NIL = '00000000-0000-0000-0000-000000000000';

/**
 * Reads whatever can be read with what was stolen: every private key and secret that lies in it is
 * tried on every token that lies in it, and what opens is searched for more keys, until nothing new
 * opens. Its cryptography is node:crypto's and the `jose` package's, so that no rule of ours helps.
 */
export class Thief {
  /** Files, rows and all that was opened. */
  readonly contents = new Map<string, Buffer>();
  readonly #keys = new Map<string, KeyObject>();
  readonly #secrets = new Map<string, Buffer>();
  readonly #dataKeys: Map<string, Buffer>;
  readonly #tokens = new Set<string>();
  readonly #opened = new Set<string>();
  readonly #rows: StoredRow[] = [];
  #siteGuid = '';

  private constructor(stolen: Stolen) {
    this.#dataKeys = new Map(stolen.dataKeys);
    for (const [name, bytes] of readAll(stolen.files)) this.#take(name, bytes);
    for (const path of stolen.databases) this.#takeDatabase(path);
  }

  static async open(stolen: Stolen): Promise<Thief> {
    const thief = new Thief(stolen);
    let before = -1;
    while (thief.#opened.size > before) {
      before = thief.#opened.size;
      for (const token of thief.#tokens) if (!thief.#opened.has(token)) await thief.#try(token);
    }
    for (const row of thief.#rows) thief.#openRow(row);
    return thief;
  }

  /** Thumbprints of the private keys that it came by. */
  async kids(): Promise<Set<string>> {
    const publics = [...this.#keys.values()].map(
      (key) => createPublicKey(key).export({ format: 'jwk' }) as JWK,
    );
    return new Set(await Promise.all(publics.map((jwk) => calculateJwkThumbprint(jwk))));
  }

  /** SHA-256 of the public keys of the private keys that it came by. */
  publicKeys(): Set<string> {
    return new Set([...this.#keys.values()].map(publicKeyHash));
  }

  #take(name: string, bytes: Buffer): void {
    this.contents.set(name, bytes);
    const text = bytes.toString('latin1');
    for (const [token] of text.matchAll(TOKEN)) this.#tokens.add(token);
    for (const [pem] of text.matchAll(PEM)) this.#addKey(createPrivateKey(pem));
    // JSON may follow a binary head, in which a byte can look like its beginning.
    for (const { index } of text.slice(0, 128).matchAll(/\{/g)) {
      try {
        this.#harvest(JSON.parse(bytes.subarray(index).toString('utf8')));
        return;
      } catch {
        // No JSON from here.
      }
    }
  }

  #harvest(value: unknown): void {
    if (typeof value !== 'object' || value === null) return;
    const object = value as Record<string, unknown>;
    if (typeof object['d'] === 'string' && typeof object['kty'] === 'string')
      this.#addKey(createPrivateKey({ key: object as never, format: 'jwk' }));
    if (typeof object['key'] === 'string' && object['key'].length === 43)
      this.#addSecret(Buffer.from(object['key'], 'base64url'));
    for (const member of Object.values(object)) this.#harvest(member);
  }

  #addKey(key: KeyObject): void {
    this.#keys.set(publicKeyHash(key), key);
  }

  #addSecret(secret: Uint8Array): void {
    if (secret.length === 32) this.#secrets.set(Buffer.from(secret).toString('hex'), Buffer.from(secret));
  }

  #takeDatabase(path: string): void {
    const database = new Database(path, { readonly: true });
    try {
      const tables = database.prepare("SELECT name FROM sqlite_schema WHERE type = 'table'").pluck().all();
      for (const table of tables as string[]) {
        for (const [index, row] of database.prepare(`SELECT * FROM "${table}"`).raw().all().entries())
          for (const [column, value] of (row as unknown[]).entries())
            if (typeof value === 'string' || Buffer.isBuffer(value))
              this.#take(`${path} ${table} ${index}.${column}`, Buffer.from(value as string));
      }
      this.#siteGuid = database.prepare('SELECT SiteGuid FROM MPE_Site').pluck().get() as string;
      this.#rows.push(
        ...(database
          .prepare(
            `SELECT k.Kind AS kind, k.KeyId AS keyId, k.VolumeId AS volumeId, s.DataKeyId AS dataKeyId, s.Content AS content
             FROM MPE_KeySecrets s JOIN MPE_Keys k ON k.SecretId = s.SecretId
             UNION ALL
             SELECT 3, t.ClientId, '${NIL}', s.DataKeyId, s.Content
             FROM MPE_TpmOwnerAuthSecrets s JOIN MPE_TpmOwnerAuths t ON t.SecretId = s.SecretId`,
          )
          .all() as StoredRow[]),
      );
    } finally {
      database.close();
    }
    this.contents.set(path, readAll([path]).get(path)!);
  }

  async #try(token: string): Promise<void> {
    let alg: string;
    try {
      alg = decodeProtectedHeader(token).alg ?? '';
    } catch {
      return;
    }
    const wanted = alg === 'RSA-OAEP-256' ? 'rsa' : alg === 'ECDH-ES+A256KW' ? 'ec' : null;
    const keys =
      wanted === null
        ? [...this.#secrets.values()]
        : [...this.#keys.values()].filter((key) => key.asymmetricKeyType === wanted);
    for (const key of keys) {
      try {
        this.#read(token, Buffer.from((await compactDecrypt(token, key)).plaintext));
        return;
      } catch {
        // Another key's.
      }
    }
  }

  #read(token: string, plaintext: Buffer): void {
    this.#opened.add(token);
    this.#take(`opened ${this.#opened.size}`, plaintext);
    this.#addSecret(plaintext);
    if (plaintext.length === 65 && plaintext[0] === 1)
      this.#dataKeys.set(guid(plaintext.subarray(17, 33)), plaintext.subarray(33));
    const [, signed] = plaintext.toString('latin1').split('.');
    if (signed === undefined) return;
    const payload = Buffer.from(signed, 'base64url');
    this.contents.set(`signed ${this.#opened.size}`, payload);
    const decoded = decodeClientMessage(payload);
    if (decoded.kind === 'message') this.#addSecret(decoded.message.replyKey);
  }

  /** AES-256-GCM: format (1) ‖ nonce (12) ‖ ciphertext ‖ tag (16), bound to its place. */
  #openRow(row: StoredRow): void {
    const key = this.#dataKeys.get(row.dataKeyId);
    if (key === undefined) return;
    const { content } = row;
    const decipher = createDecipheriv('aes-256-gcm', key, content.subarray(1, 13));
    const place = [this.#siteGuid, row.keyId, row.volumeId, row.dataKeyId].map((one) =>
      Buffer.from(one.replaceAll('-', ''), 'hex'),
    );
    decipher.setAAD(Buffer.concat([Buffer.of(1), place[0]!, Buffer.of(row.kind), ...place.slice(1)]));
    decipher.setAuthTag(content.subarray(-16));
    const opened = Buffer.concat([decipher.update(content.subarray(13, -16)), decipher.final()]);
    this.contents.set(`row of ${row.keyId} ${row.kind} ${row.dataKeyId}`, opened);
  }
}

/** SHA-256 of the public key (SPKI) of a private or public key. */
export function publicKeyHash(key: KeyObject): string {
  const publicKey = key.type === 'private' ? createPublicKey(key) : key;
  return createHash('sha256')
    .update(publicKey.export({ type: 'spki', format: 'der' }))
    .digest('hex');
}

function guid(bytes: Buffer): string {
  return bytes.toString('hex').replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5');
}
