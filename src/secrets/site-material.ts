import { randomBytes } from 'node:crypto';
import { generatePrivateKey } from '../jose/index.js';
import { newGuid, type Guid } from '../protocol/guid.js';
import type { PrivateJwk } from '../protocol/jwk.js';
import type { CertificatePems } from './certificate.js';
import { createCertificate } from './create-certificate.js';
import { createSiteTls, type SiteTls } from './site-ca.js';
import type { WorkerSecret } from './key-files.js';

/** Every key and id of a new site. */
export interface SiteMaterial {
  readonly siteGuid: Guid;
  /** ES256. */
  readonly rootKey: PrivateJwk;
  /** ES256. */
  readonly tokenKey: PrivateJwk;
  /** ES256; signs checkpoints of the audit. */
  readonly auditKey: PrivateJwk;
  /** In the order in which the site document offers them. */
  readonly sealingKeys: readonly PrivateJwk[];
  readonly workerSecret: WorkerSecret;
  readonly fingerprintKey: { readonly id: Guid; readonly key: Buffer };
  /** null: a site that stores plain text by consent. */
  readonly certificate: CertificatePems | null;
  readonly tls: SiteTls;
  readonly policyId: Guid;
  readonly enrolmentToken: { readonly id: Guid; readonly secret: Buffer };
}

/** What decides over new material. */
export interface SiteMaterialOptions {
  /** From `gatewayNames`. */
  readonly gatewayNames: readonly string[];
  readonly withCertificate: boolean;
  readonly nowMs: number;
  /** Used in place of new keys: fixtures and tests. */
  readonly given?: Partial<SiteMaterial>;
}

/** Makes the keys of a site, except those that are given. */
export async function makeSiteMaterial(options: SiteMaterialOptions): Promise<SiteMaterial> {
  const { given = {}, gatewayNames, withCertificate, nowMs } = options;
  const siteGuid = given.siteGuid ?? newGuid();
  // RSA first: every client has it, and sealing with it costs a client next to nothing.
  const sealingKeys = given.sealingKeys ?? [
    await generatePrivateKey('RSA-OAEP-256'),
    await generatePrivateKey('ECDH-ES+A256KW'),
  ];
  return {
    siteGuid,
    sealingKeys,
    rootKey: given.rootKey ?? (await generatePrivateKey('ES256')),
    tokenKey: given.tokenKey ?? (await generatePrivateKey('ES256')),
    auditKey: given.auditKey ?? (await generatePrivateKey('ES256')),
    workerSecret: given.workerSecret ?? { id: newGuid(), key: randomBytes(32) },
    fingerprintKey: given.fingerprintKey ?? { id: newGuid(), key: randomBytes(32) },
    certificate: withCertificate ? (given.certificate ?? (await createCertificate(nowMs))) : null,
    tls: given.tls ?? (await createSiteTls(siteGuid, gatewayNames, nowMs)),
    policyId: given.policyId ?? newGuid(),
    enrolmentToken: given.enrolmentToken ?? { id: newGuid(), secret: randomBytes(32) },
  };
}
