import { createHash, generateKeyPairSync } from 'node:crypto';
import { beforeAll, describe, expect, test } from 'vitest';
import { makeRegistration } from '../../src/client/registration.js';
import { generatePrivateKey, signCertificateProof, verifyCertificateProof } from '../../src/jose/index.js';
import { newGuid, type Guid } from '../../src/protocol/guid.js';
import type { PrivateJwk } from '../../src/protocol/jwk.js';
import { decodeRegistrationRequest, decodeRegistrationStatement } from '../../src/protocol/registration.js';
import type { JobChannel, RegistrationJob } from '../../src/queue/index.js';
import { x509 } from '../../src/secrets/x509.js';
import type { Pipeline } from '../../src/workers/pipeline.js';
import { TestSite } from './support.js';

interface Certificate {
  readonly cert: string;
  readonly key: string;
  readonly subject: string;
}

/** A real certificate with a key of its own. */
async function certificate(kind: 'rsa' | 'ec' = 'ec'): Promise<Certificate> {
  const made =
    kind === 'ec'
      ? generateKeyPairSync('ec', { namedCurve: 'P-256' })
      : generateKeyPairSync('rsa', { modulusLength: 2048 });
  const algorithm =
    kind === 'ec'
      ? { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' }
      : { name: 'RSASSA-PKCS1-v1_5', hash: 'SHA-256' };
  const spki = made.publicKey.export({ type: 'spki', format: 'der' });
  const pkcs8 = made.privateKey.export({ type: 'pkcs8', format: 'der' });
  const keys = {
    publicKey: await crypto.subtle.importKey('spki', spki, algorithm, true, ['verify']),
    privateKey: await crypto.subtle.importKey('pkcs8', pkcs8, algorithm, true, ['sign']),
  };
  const cert = await x509.X509CertificateGenerator.createSelfSigned({
    name: 'CN=client',
    notBefore: new Date(Date.now() - 1000),
    notAfter: new Date(Date.now() + 86_400_000),
    keys,
    signingAlgorithm: algorithm,
  });
  return {
    cert: cert.toString('pem'),
    key: made.privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(),
    subject: createHash('sha256').update(spki).digest('hex'),
  };
}

let site: TestSite;
let pipeline: Pipeline;
beforeAll(async () => {
  site = await TestSite.create();
  pipeline = await site.pipeline();
});

/** What the reference client sends, as a gateway queues it. */
async function job(
  clientId: Guid,
  key: PrivateJwk,
  of: { certificate?: Certificate; channel?: JobChannel; dropProof?: boolean },
): Promise<RegistrationJob> {
  const request = decodeRegistrationRequest(
    await makeRegistration({
      ...{ siteGuid: site.siteGuid, clientId, key, certificate: of.certificate ?? null },
      machine: { machineName: 'PC-1', domain: 'CORP', hardwareId: '', joinType: 'DOMAIN' },
      createdAtMs: Date.now(),
    }),
  );
  const statement = decodeRegistrationStatement(Buffer.from(request.jws.split('.')[1] ?? '', 'base64url'));
  const proof = request.certificateProof;
  const base64 = (bytes: Uint8Array): string => Buffer.from(bytes).toString('base64');
  return {
    ...{ v: 2, kind: 'registration', clientId, registrationId: statement.registrationId },
    ...{ jws: request.jws, previousKeyJws: null, enrolmentTokenHash: null },
    ...(proof === undefined || of.dropProof === true
      ? {}
      : { certificateProof: { key: base64(proof.key), signature: base64(proof.signature) } }),
    ...{ machineName: 'PC-1', domain: 'CORP', hardwareId: '', joinType: 'DOMAIN' },
    ...(of.channel === undefined ? {} : { channel: of.channel }),
    ...{ gatewayId: 'gw-test', receivedAtMs: Date.now() },
  };
}

const over = (clientId: Guid, { subject }: Certificate): JobChannel => ({
  ...{ method: 'client-certificate', clientId, subject },
});
const told = async (one: RegistrationJob, by = pipeline): Promise<string> => {
  const { status, reason, epoch } = await by.processRegistration(one);
  return reason === 'NONE' ? `${status} ${String(epoch)}` : reason;
};
const fresh = (): Promise<PrivateJwk> => generatePrivateKey('ES256');

describe('registrations over a certificate', () => {
  test.each(['ec', 'rsa'] as const)(
    '%s: registers without a token, and vouches for the next key',
    async (kind) => {
      const clientId = newGuid();
      const own = await certificate(kind);
      const first = await job(clientId, await fresh(), { certificate: own, channel: over(clientId, own) });
      expect(await told(first)).toBe('REGISTERED 1');
      expect(await told(first)).toBe('ALREADY_REGISTERED 1');
      // The machine was re-imaged: another key, no old one, the same certificate; through any gateway.
      expect(await told(await job(clientId, await fresh(), { certificate: own }))).toBe('REGISTERED 2');
      expect((await site.store.findClient(clientId))?.keys).toHaveLength(2);
    },
  );

  test('a stolen gateway, which can claim any channel, registers no key of a known client', async () => {
    const clientId = newGuid();
    const [own, thief] = [await certificate(), await certificate()];
    const first = await job(clientId, await fresh(), { certificate: own, channel: over(clientId, own) });
    await told(first);
    const claimed = { channel: over(clientId, own) };
    expect(await told(await job(clientId, await fresh(), claimed))).toBe('CLIENT_EXISTS');
    expect(
      await told(await job(clientId, await fresh(), { ...claimed, certificate: own, dropProof: true })),
    ).toBe('PENDING 1');
    expect(await told(await job(clientId, await fresh(), { certificate: thief }))).toBe('CLIENT_EXISTS');
    // Its own certificate beside somebody's request is found out, as is another's signature.
    const honest = await job(newGuid(), await fresh(), { certificate: own });
    expect(await told({ ...honest, channel: over(honest.clientId, thief) })).toBe('PROOF_INVALID');
    const { certificateProof } = await job(clientId, await fresh(), { certificate: own });
    const stolen = await job(clientId, await fresh(), { certificate: own });
    expect(await told({ ...stolen, certificateProof })).toBe('PROOF_INVALID');
    expect((await site.store.findClient(clientId))?.epoch).toBe(1);
  });

  test('a signature over a statement is none over another, or by another key', async () => {
    const [own, other] = [await certificate(), await certificate('rsa')];
    const proof = signCertificateProof(Buffer.from('statement'), own);
    expect(() => verifyCertificateProof(Buffer.from('statement'), proof)).not.toThrow();
    expect(() => verifyCertificateProof(Buffer.from('Statement'), proof)).toThrow('does not verify');
    const { key } = signCertificateProof(Buffer.from('statement'), other);
    expect(() => verifyCertificateProof(Buffer.from('statement'), { ...proof, key })).toThrow(
      'does not verify',
    );
    expect(() => verifyCertificateProof(Buffer.from('x'), { ...proof, key: Buffer.from('x') })).toThrow(
      'be read',
    );
  });
});

describe('what registers a client', () => {
  test('is what the settings name, and an operator where they say so', async () => {
    const asked = await site.pipeline({ registration: { ways: ['approval'], pendingMax: 10 } });
    const one = await job(newGuid(), await fresh(), {});
    expect(await told(one)).toBe('TOKEN_REFUSED');
    expect(await told(one, asked)).toBe('PENDING 0');
    expect(await told({ ...one, enrolmentTokenHash: null }, asked)).toBe('PENDING 0');
    const [{ kid } = { kid: '' }] = (await site.store.readPendingRegistrations(10)).filter(
      (row) => row.clientId === one.clientId,
    );
    await site.store.approveRegistration(one.clientId, kid, { by: 'operator', tag: '', atMs: Date.now() });
    expect(await told(one, asked)).toBe('ALREADY_REGISTERED 1');
  });
});
