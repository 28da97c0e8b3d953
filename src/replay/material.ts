import { createHash } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { generatePrivateKey } from '../jose/index.js';
import { MpeError } from '../ops/errors.js';
import { parseGuid, type Guid } from '../protocol/guid.js';
import type { PrivateJwk } from '../protocol/jwk.js';
import { makeSiteMaterial, type SiteMaterial } from '../secrets/site-material.js';
import { jsonPath } from './load-fixtures.js';

/** The keys of the fixture site: made once, committed, known to everybody, for tests alone. */
export interface FixtureMaterial {
  readonly siteGuid: Guid;
  /** Private: operator steps add `future` to a site; nobody holds `unknown`'s private part. */
  readonly sealing: {
    readonly rsa: PrivateJwk;
    readonly ecdh: PrivateJwk;
    readonly future: PrivateJwk;
    readonly unknown: PrivateJwk;
  };
  /** Base64url of 32 bytes. */
  readonly enrolmentSecret: string;
  /** What `createSite` takes; TLS is made for each host. */
  readonly site: Partial<SiteMaterial> &
    Pick<SiteMaterial, 'siteGuid' | 'rootKey' | 'sealingKeys' | 'workerSecret' | 'fingerprintKey'>;
  /** Changes where a change of the keys makes built tokens useless. */
  readonly fingerprint: string;
}

const jwk = z.custom<PrivateJwk>(
  (value) =>
    z.looseObject({ kty: z.string(), kid: z.string(), alg: z.string(), d: z.string() }).safeParse(value)
      .success,
  'a private JWK',
);
const guid = z.string().transform((text) => parseGuid(text));
const bytes32 = z.base64url().transform((text) => Buffer.from(text, 'base64url'));

const fileSchema = z.strictObject({
  warning: z.string(),
  format: z.literal(1),
  siteGuid: guid,
  rootKey: jwk,
  tokenKey: jwk,
  sealingKeys: z.strictObject({ rsa: jwk, ecdh: jwk, future: jwk, unknown: jwk }),
  workerSecret: z.strictObject({ id: guid, key: bytes32 }),
  fingerprintKey: z.strictObject({ id: guid, key: bytes32 }),
  certificate: z.strictObject({ certificatePem: z.string(), keyPem: z.string() }),
  policyId: guid,
  enrolmentToken: z.strictObject({ id: guid, secret: bytes32 }),
});

/** The file inside the folder of fixture keys. */
const FILE = 'site.json';

/**
 * Reads the fixture site's keys from a folder (`test/fixtures/keys`).
 *
 * @throws MpeError FIXTURE_INVALID
 */
export function readMaterial(folder: string): FixtureMaterial {
  const file = join(folder, FILE);
  if (!existsSync(file))
    throw new MpeError('FIXTURE_INVALID', `${file} is not there; it is committed with the fixtures`);
  const text = readFileSync(file, 'utf8');
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch {
    throw new MpeError('FIXTURE_INVALID', `${file}: not JSON; restore it from the repository`);
  }
  const result = fileSchema.safeParse(json);
  if (!result.success) {
    const issue = result.error.issues[0];
    throw new MpeError(
      'FIXTURE_INVALID',
      `${file} at ${jsonPath(issue?.path ?? [])}: ${issue?.message ?? ''}`,
    );
  }
  const { siteGuid, sealingKeys: sealing, enrolmentToken, rootKey, tokenKey, workerSecret } = result.data;
  const { fingerprintKey, certificate, policyId } = result.data;
  const { rsa, ecdh, future, unknown } = sealing;
  return {
    siteGuid,
    sealing,
    enrolmentSecret: enrolmentToken.secret.toString('base64url'),
    site: {
      ...{ siteGuid, rootKey, tokenKey, workerSecret, fingerprintKey, certificate, policyId, enrolmentToken },
      sealingKeys: [rsa, ecdh],
    },
    fingerprint: createHash('sha256')
      .update(
        [siteGuid, rsa.kid, ecdh.kid, future.kid, unknown.kid, enrolmentToken.secret.toString('hex')].join(
          '\n',
        ),
      )
      .digest('hex'),
  };
}

/** Makes new keys for a fixture site, as the text of its file. Every built token becomes useless. */
export async function makeMaterialText(nowMs: number): Promise<string> {
  const site = await makeSiteMaterial({ gatewayNames: ['localhost'], withCertificate: true, nowMs });
  const [rsa, ecdh] = site.sealingKeys;
  const secret = ({ id, key }: { readonly id: Guid; readonly key: Buffer }): object => ({
    id,
    key: key.toString('base64url'),
  });
  return `${JSON.stringify(
    {
      warning:
        'TEST KEYS. Everybody has them: a site made with them protects nothing. mpe site init takes them for test sites alone.',
      format: 1,
      siteGuid: site.siteGuid,
      rootKey: site.rootKey,
      tokenKey: site.tokenKey,
      sealingKeys: {
        rsa,
        ecdh,
        future: await generatePrivateKey('ECDH-ES+A256KW'),
        unknown: await generatePrivateKey('ECDH-ES+A256KW'),
      },
      workerSecret: secret(site.workerSecret),
      fingerprintKey: secret(site.fingerprintKey),
      certificate: site.certificate,
      policyId: site.policyId,
      enrolmentToken: {
        id: site.enrolmentToken.id,
        secret: site.enrolmentToken.secret.toString('base64url'),
      },
    },
    null,
    2,
  )}\n`;
}
