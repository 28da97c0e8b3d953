import { createHmac, createPublicKey, generateKeyPairSync, sign as signBytes } from 'node:crypto';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { generatePrivateKey, sign } from '../../src/jose/index.js';
import { newGuid } from '../../src/protocol/guid.js';
import { x509 } from '../../src/secrets/x509.js';
import { eventually } from '../queue/support.js';
import { newRsa } from '../support/device-issuer.js';
import { TestCa, type TestCertificate } from '../support/pki.js';
import { TestRedis } from '../support/redis.js';
import { bytes, ChannelLab, escaped, type Sent } from './channel-lab.js';

// A table of requests that no gateway may take, sent to a live one with every authenticator on. Each
// has its answer; none reaches the queue; memory and event loop stay as they are.

let redis: TestRedis;
let lab: ChannelLab;
let good: TestCertificate;
let victimToken: string;
const delay = monitorEventLoopDelay({ resolution: 10 });

beforeAll(async () => {
  redis = await TestRedis.start();
  lab = await ChannelLab.start(redis, {
    env: { MPE_GATEWAY_LIMIT_ADDRESS: 'off', MPE_GATEWAY_LIMIT_CLIENT: 'off' },
  });
  good = await leaf();
  victimToken = await lab.site.siteToken(lab.victim);
  revoked = await leaf();
  await lab.writeCrls([revoked.serial]);
  await eventually(() =>
    expect(lab.site.events().filter((one) => one === 'gateway.crl_read').length).toBeGreaterThan(3),
  );
  delay.enable();
});
afterAll(async () => {
  delay.disable();
  await lab.close();
  await redis.stop();
});

let revoked: TestCertificate;
const chain = (): string[] => [lab.issuing.pem];
const leaf = (more: Partial<Parameters<TestCa['issue']>[0]> = {}): Promise<TestCertificate> =>
  lab.issuing.issue({ cn: lab.victim, ...more });
const days = (count: number): Date => new Date(Date.now() + count * 86_400_000);
/** By mutual TLS. */
const shown = (made: Promise<TestCertificate>, more: Partial<Sent> = {}): Promise<Sent> =>
  made.then((certificate) => ({ certificate, chain: chain(), ...more }));
/** By the listed proxy, RFC 9440. */
const forwarded = (made: Promise<TestCertificate>, more: Partial<Sent> = {}): Promise<Sent> =>
  made.then((certificate) => ({
    proxy: true,
    headers: { 'client-cert': bytes(certificate), 'client-cert-chain': bytes(lab.issuing) },
    ...more,
  }));
const forge = (claims: object = {}, header: object = {}, key = lab.issuer.key): string =>
  lab.issuer.forge(lab.victim, { ...claims }, { ...header }, key);
const parts = (token: string): string[] => token.split('.');
const base64 = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString('base64url');
const now = (): number => Math.floor(Date.now() / 1000);

const REFUSED = '401 CERTIFICATE_REFUSED';
const NO_TOKEN = '401 DEVICE_TOKEN_INVALID';
const NO_SITE_TOKEN = '401 SITE_TOKEN_INVALID';
const NOBODY = '401 AUTHENTICATION_REQUIRED';
const NOT_HERE = '400 FORWARDED_IDENTITY_REFUSED';
const CONFLICT = '403 IDENTITY_CONFLICT';

const TABLE: readonly (readonly [name: string, make: () => Sent | Promise<Sent>, answer: string])[] = [
  // Nobody
  ['no identity', () => ({}), NOBODY],
  ['an empty bearer', () => ({ headers: { authorization: 'Bearer ' } }), NOBODY],
  ['basic authentication', () => ({ headers: { authorization: 'Basic dXNlcjpwYXNz' } }), NOBODY],
  ['a bearer with a blank', () => ({ headers: { authorization: 'Bearer a b' } }), NOBODY],
  ['a token in the address', () => ({ path: `/v1/messages?access_token=${victimToken}` }), NOBODY],
  ['a token as a cookie', () => ({ headers: { cookie: `token=${victimToken}` } }), NOBODY],
  [
    'two Authorization headers',
    () => ({ headers: { authorization: [`Bearer ${victimToken}`, 'Bearer x'] } }),
    '400 REQUEST_MALFORMED',
  ],
  // Certificates by TLS
  [
    'self-signed',
    async () => ({ certificate: await (await TestCa.create('CN=x')).issue({ cn: lab.victim }) }),
    REFUSED,
  ],
  ['another CA', () => shown(lab.foreign.issue({ cn: lab.victim }), { chain: [lab.foreign.pem] }), REFUSED],
  ['another CA of the same name', () => shown(lab.foreign.issue({ cn: lab.victim }), { chain: [] }), REFUSED],
  ['intermediate missing', () => shown(leaf(), { chain: [] }), REFUSED],
  ['expired', () => shown(leaf({ notAfter: days(-0.5) })), REFUSED],
  ['not yet valid', () => shown(leaf({ notBefore: days(1), notAfter: days(2) })), REFUSED],
  ['revoked', () => ({ certificate: revoked, chain: chain() }), REFUSED],
  ['for servers', () => shown(leaf({ usages: ['1.3.6.1.5.5.7.3.1'] })), REFUSED],
  ['for any use', () => shown(leaf({ usages: ['2.5.29.37.0'] })), REFUSED],
  ['without a use', () => shown(leaf({ usages: [] })), REFUSED],
  ['key usage without signatures', () => shown(leaf({ keyUsage: x509.KeyUsageFlags.keyAgreement })), REFUSED],
  ['a CA as a client', () => shown(leaf({ ca: true })), REFUSED],
  ['no client id', () => shown(leaf({ cn: 'PC1.corp.example' })), REFUSED],
  ['CN with more than the id', () => shown(leaf({ cn: `x${lab.victim}` })), REFUSED],
  ['two CNs', () => shown(leaf({ subject: `CN=${lab.victim}, CN=${lab.other}` })), REFUSED],
  [
    'SAN and CN disagree',
    () => shown(leaf({ san: [{ type: 'url', value: `urn:mpe:client:${lab.other}` }] })),
    REFUSED,
  ],
  [
    'SAN DNS and CN disagree',
    () => shown(leaf({ san: [{ type: 'dns', value: `${lab.other}.corp.example` }] })),
    REFUSED,
  ],
  [
    'an unknown critical extension',
    () => shown(leaf({ extra: [new x509.Extension('1.2.3.4', true, new Uint8Array([5, 0]))] })),
    REFUSED,
  ],
  ['an RSA key of 1024 bits', () => shown(leaf({ rsaBits: 1024 })), REFUSED],
  [
    'below a leaf',
    async () => {
      const pretender = await leaf();
      const below = await (await TestCa.create(`CN=${lab.victim}`)).issue({ cn: lab.victim });
      return { certificate: below, chain: [pretender.pem, ...chain()] };
    },
    REFUSED,
  ],
  [
    'below a CA that may have none below it',
    async () => {
      const sub = await TestCa.create('CN=Test Sub', { parent: lab.issuing });
      return { certificate: await sub.issue({ cn: lab.victim }), chain: [sub.pem, ...chain()] };
    },
    REFUSED,
  ],
  [
    'below an expired CA',
    async () => {
      const old = await TestCa.create('CN=Test Old', { parent: lab.root, notAfter: days(-1) });
      return { certificate: await old.issue({ cn: lab.victim }), chain: [old.pem] };
    },
    REFUSED,
  ],
  [
    'a CA without a revocation list',
    async () => {
      const fresh = await TestCa.create('CN=Test Fresh', { parent: lab.root });
      return { certificate: await fresh.issue({ cn: lab.victim }), chain: [fresh.pem] };
    },
    '503 CHANNEL_UNAVAILABLE',
  ],
  ['another client’s certificate', () => shown(leaf({ cn: lab.other })), '403 CLIENT_MISMATCH'],
  [
    'a good token beside a bad certificate',
    () => shown(leaf({ notAfter: days(-0.5) }), { bearer: victimToken }),
    REFUSED,
  ],
  [
    'a bad token beside a good certificate',
    () => ({ certificate: good, chain: chain(), bearer: 'abc' }),
    NO_TOKEN,
  ],
  [
    'a token of another client beside a certificate',
    async () => ({ certificate: good, chain: chain(), bearer: await lab.site.siteToken(lab.other) }),
    CONFLICT,
  ],
  [
    'a device token of another beside a certificate',
    () => ({ certificate: good, chain: chain(), bearer: lab.issuer.forge(lab.other) }),
    CONFLICT,
  ],
  // Forwarded certificates
  ['forwarded by a stranger', () => ({ headers: { 'client-cert': bytes(good) } }), NOT_HERE],
  ['nginx’s header by a stranger', () => ({ headers: { 'x-client-cert': escaped(good) } }), NOT_HERE],
  ['an empty header by a stranger', () => ({ headers: { 'x-client-cert': '' } }), NOT_HERE],
  ['a chain alone by a stranger', () => ({ headers: { 'client-cert-chain': bytes(good) } }), NOT_HERE],
  [
    'by a stranger with a good token',
    () => ({ bearer: victimToken, headers: { 'client-cert': bytes(good) } }),
    NOT_HERE,
  ],
  [
    'by a stranger with a good certificate',
    () => ({ certificate: good, chain: chain(), headers: { 'client-cert': bytes(good) } }),
    NOT_HERE,
  ],
  [
    'by a stranger who claims to be the proxy',
    () => ({ headers: { 'client-cert': bytes(good), 'x-forwarded-for': '127.0.0.2' } }),
    NOT_HERE,
  ],
  ['forwarded, another CA', () => forwarded(lab.foreign.issue({ cn: lab.victim })), REFUSED],
  ['forwarded, expired', () => forwarded(leaf({ notAfter: days(-0.5) })), REFUSED],
  ['forwarded, revoked', () => forwarded(Promise.resolve(revoked)), REFUSED],
  ['forwarded, for servers', () => forwarded(leaf({ usages: ['1.3.6.1.5.5.7.3.1'] })), REFUSED],
  ['forwarded, another client', () => forwarded(leaf({ cn: lab.other })), '403 CLIENT_MISMATCH'],
  [
    'forwarded twice',
    () => ({ proxy: true, headers: { 'client-cert': [bytes(good), bytes(good)] } }),
    REFUSED,
  ],
  [
    'forwarded in two forms',
    () => ({ proxy: true, headers: { 'client-cert': bytes(good), 'x-client-cert': escaped(good) } }),
    REFUSED,
  ],
  [
    'forwarded, two certificates in one',
    () => ({ proxy: true, headers: { 'x-client-cert': escaped(good) + escaped(revoked) } }),
    REFUSED,
  ],
  ['forwarded, no base64', () => ({ proxy: true, headers: { 'client-cert': ':!!!:' } }), REFUSED],
  ['forwarded, not a certificate', () => ({ proxy: true, headers: { 'client-cert': ':AAAA:' } }), REFUSED],
  [
    'forwarded, bare base64',
    () => ({ proxy: true, headers: { 'client-cert': good.der.toString('base64') } }),
    REFUSED,
  ],
  [
    'forwarded, not escaped',
    () => ({ proxy: true, headers: { 'x-client-cert': good.pem.replaceAll('\n', ' ') } }),
    REFUSED,
  ],
  ['forwarded, a bad escape', () => ({ proxy: true, headers: { 'x-client-cert': '%zz' } }), REFUSED],
  [
    'forwarded, trailing bytes',
    () => ({
      proxy: true,
      headers: { 'client-cert': `:${Buffer.concat([good.der, Buffer.alloc(3)]).toString('base64')}:` },
    }),
    REFUSED,
  ],
  [
    'forwarded, a bent signature',
    () => {
      const bent = Buffer.from(good.der);
      bent[bent.length - 1]! ^= 1;
      return {
        proxy: true,
        headers: { 'client-cert': bytes({ der: bent }), 'client-cert-chain': bytes(lab.issuing) },
      };
    },
    REFUSED,
  ],
  [
    'forwarded, with the token of another',
    async () => ({
      proxy: true,
      bearer: await lab.site.siteToken(lab.other),
      headers: { 'client-cert': bytes(good), 'client-cert-chain': bytes(lab.issuing) },
    }),
    CONFLICT,
  ],
  ['forwarded, without a certificate', () => ({ proxy: true, headers: { 'x-client-cert': '' } }), NOBODY],
  // Device tokens
  ['junk', () => ({ bearer: 'junk' }), NO_TOKEN],
  [
    'expired',
    () => ({ bearer: forge({ iat: now() - 9000, nbf: now() - 9000, exp: now() - 1000 }) }),
    NO_TOKEN,
  ],
  ['not valid yet', () => ({ bearer: forge({ nbf: now() + 1000 }) }), NO_TOKEN],
  ['issued in the future', () => ({ bearer: forge({ iat: now() + 1000, exp: now() + 2000 }) }), NO_TOKEN],
  ['living for a year', () => ({ bearer: forge({ exp: now() + 31_536_000 }) }), NO_TOKEN],
  ['without an end', () => ({ bearer: forge({ exp: undefined }) }), NO_TOKEN],
  ['an end that is text', () => ({ bearer: forge({ exp: `${now() + 100}` }) }), NO_TOKEN],
  ['another issuer', () => ({ bearer: forge({ iss: 'https://login.example' }) }), NO_TOKEN],
  ['an issuer with a slash more', () => ({ bearer: forge({ iss: `${lab.issuer.url}/` }) }), NO_TOKEN],
  ['another audience', () => ({ bearer: forge({ aud: 'api://graph' }) }), NO_TOKEN],
  ['a list of audiences', () => ({ bearer: forge({ aud: [lab.issuer.audience, 'api://graph'] }) }), NO_TOKEN],
  ['another tenant', () => ({ bearer: forge({ tid: newGuid() }) }), NO_TOKEN],
  ['no device', () => ({ bearer: forge({ deviceid: undefined }) }), NO_TOKEN],
  ['a device that is no GUID', () => ({ bearer: forge({ deviceid: '*' }) }), NO_TOKEN],
  ['another device', () => ({ bearer: lab.issuer.forge(lab.other) }), '403 CLIENT_MISMATCH'],
  [
    'alg none',
    () => ({ bearer: `${base64({ alg: 'none', typ: 'JWT', kid: lab.issuer.kid })}.${parts(forge())[1]}.` }),
    NO_TOKEN,
  ],
  ['alg none with a signature', () => ({ bearer: forge({}, { alg: 'none' }) }), NO_TOKEN],
  [
    'HS256 with the public key',
    () => {
      const input = `${base64({ alg: 'HS256', typ: 'JWT', kid: lab.issuer.kid })}.${parts(forge())[1]}`;
      const pem = createPublicKey(lab.issuer.key).export({ type: 'spki', format: 'pem' });
      return { bearer: `${input}.${createHmac('sha256', pem).update(input).digest('base64url')}` };
    },
    NO_TOKEN,
  ],
  ['alg PS256', () => ({ bearer: forge({}, { alg: 'PS256' }) }), NO_TOKEN],
  ['alg RS512 in the header', () => ({ bearer: forge({}, { alg: 'RS512' }) }), NO_TOKEN],
  [
    'ES256 by a key of one’s own',
    () => {
      const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
      const input = `${base64({ alg: 'ES256', typ: 'JWT', kid: lab.issuer.kid })}.${parts(forge())[1]}`;
      return {
        bearer: `${input}.${signBytes('sha256', Buffer.from(input), { key: privateKey, dsaEncoding: 'ieee-p1363' }).toString('base64url')}`,
      };
    },
    NO_TOKEN,
  ],
  ['a kid that nobody knows', () => ({ bearer: forge({}, { kid: 'nobody' }) }), NO_TOKEN],
  ['the kid of another key', () => ({ bearer: forge({}, {}, newRsa()) }), NO_TOKEN],
  ['no kid', () => ({ bearer: forge({}, { kid: undefined }) }), NO_TOKEN],
  ['a kid that is a path', () => ({ bearer: forge({}, { kid: '../../etc/passwd' }) }), NO_TOKEN],
  ['a kid that is an object', () => ({ bearer: forge({}, { kid: { a: 1 } }) }), NO_TOKEN],
  [
    'an embedded key',
    () => ({ bearer: forge({}, { jwk: createPublicKey(lab.issuer.key).export({ format: 'jwk' }) }) }),
    NO_TOKEN,
  ],
  ['an address of keys', () => ({ bearer: forge({}, { jku: 'https://evil.example/keys' }) }), NO_TOKEN],
  ['an embedded chain', () => ({ bearer: forge({}, { x5c: ['AAAA'] }) }), NO_TOKEN],
  ['crit', () => ({ bearer: forge({}, { crit: ['exp'] }) }), NO_TOKEN],
  ['b64 false', () => ({ bearer: forge({}, { b64: false, crit: ['b64'] }) }), NO_TOKEN],
  ['zip', () => ({ bearer: forge({}, { zip: 'DEF' }) }), NO_TOKEN],
  ['another typ', () => ({ bearer: forge({}, { typ: 'logout+jwt' }) }), NO_TOKEN],
  [
    'a double name in the claims',
    () => {
      const [head] = parts(forge());
      const body = Buffer.from(
        `{"deviceid":"${lab.other}",${Buffer.from(parts(forge())[1]!, 'base64url').toString().slice(1)}`,
      ).toString('base64url');
      const input = `${head}.${body}`;
      return {
        bearer: `${input}.${signBytes('sha256', Buffer.from(input), lab.issuer.key).toString('base64url')}`,
      };
    },
    NO_TOKEN,
  ],
  [
    'changed claims',
    () => ({ bearer: [parts(forge())[0], base64({ deviceid: lab.victim }), parts(forge())[2]].join('.') }),
    NO_TOKEN,
  ],
  ['a cut signature', () => ({ bearer: forge().slice(0, -8) }), NO_TOKEN],
  ['four parts', () => ({ bearer: `${forge()}.AAAA` }), NO_TOKEN],
  ['padding', () => ({ bearer: `${forge()}==` }), NO_TOKEN],
  ['ten thousand characters', () => ({ bearer: forge({ pad: 'x'.repeat(7500) }) }), NO_TOKEN],
  [
    'twenty thousand characters',
    () => ({ bearer: forge({ pad: 'x'.repeat(15_000) }) }),
    '431 HEADERS_TOO_LARGE',
  ],
  // Site tokens
  [
    'a site token of another site',
    async () => ({ bearer: await lab.site.siteToken(lab.victim, 1, Date.now(), newGuid()) }),
    NO_SITE_TOKEN,
  ],
  [
    'a site token that is expired',
    async () => ({ bearer: await lab.site.siteToken(lab.victim, 1, Date.now() - 36_000_000) }),
    NO_SITE_TOKEN,
  ],
  [
    'a site token by another key',
    async () => {
      const key = await generatePrivateKey('ES256');
      const body = Buffer.from(
        JSON.stringify({ iss: lab.site.siteGuid, sub: lab.victim, epoch: 1, iat: now(), exp: now() + 60 }),
      );
      return { bearer: await sign(body, key, 'mpe-access+jwt') };
    },
    NO_SITE_TOKEN,
  ],
  [
    'a site token of another client',
    async () => ({ bearer: await lab.site.siteToken(lab.other) }),
    '403 CLIENT_MISMATCH',
  ],
  // The rest of the request
  [
    'a hundred headers',
    () => ({
      bearer: victimToken,
      headers: Object.fromEntries(Array.from({ length: 100 }, (_, i) => [`x-${i}`, '1'])),
    }),
    '431 HEADERS_TOO_LARGE',
  ],
  [
    'a result of another client',
    () => ({ method: 'GET', path: `/v1/messages/${newGuid()}`, certificate: good, chain: chain() }),
    '404 MESSAGE_NOT_FOUND',
  ],
  [
    'a registration by a bad certificate',
    () => shown(leaf({ notAfter: days(-0.5) }), { path: '/v1/clients' }),
    REFUSED,
  ],
  [
    'a registration with a bad device token',
    () => ({ path: '/v1/clients', bearer: forge({ aud: 'x' }) }),
    NO_TOKEN,
  ],
  [
    'a registration, forwarded by a stranger',
    () => ({ path: '/v1/clients', headers: { 'client-cert': bytes(good) } }),
    NOT_HERE,
  ],
];

test(
  `${TABLE.length} hostile requests get their answers, and none is queued`,
  { timeout: 240_000 },
  async () => {
    expect(TABLE.length).toBeGreaterThanOrEqual(100);
    const said: [string, string][] = [];
    const before = process.memoryUsage().rss;
    for (const [name, make] of TABLE) {
      const sent = await make();
      const answer = await lab.send(sent);
      said.push([name, `${answer.status} ${answer.problem}`]);
      // No answer tells more than its text; a challenge stands on each 401.
      if (answer.status === 401) expect(answer.headers['www-authenticate'], name).toBeDefined();
    }
    expect(said).toEqual(TABLE.map(([name, , answer]) => [name, answer]));
    expect(await lab.queued()).toBe(0);
    expect(process.memoryUsage().rss - before).toBeLessThan(300 * 1024 * 1024);
    // The test itself makes keys and certificates in the same process, on a machine that is shared.
    expect(delay.percentile(99) / 1e6).toBeLessThan(250);
  },
);

test('and the good ones beside them are taken, in every form', async () => {
  const before = await lab.queued();
  const device = await lab.issuer.token(lab.victim, lab.root.pem);
  const goods: Sent[] = [
    { bearer: victimToken },
    { certificate: good, chain: chain() },
    { certificate: good, chain: chain(), bearer: victimToken },
    await forwarded(leaf()),
    await shown(leaf({ cn: 'PC1', san: [{ type: 'url', value: `urn:mpe:client:${lab.victim}` }] })),
    await shown(
      leaf({ cn: 'PC1', san: [{ type: 'dns', value: `${lab.victim.toUpperCase()}.corp.example` }] }),
    ),
    await shown(leaf({ cn: 'PC1', san: [{ type: 'upn', value: `${lab.victim}@corp.example` }] })),
    { bearer: device },
    { bearer: forge({}, { typ: 'at+jwt', x5t: 'AAAA' }) },
    { certificate: good, chain: chain(), bearer: device },
  ];
  for (const sent of goods) {
    const answer = await lab.send(sent);
    expect([answer.status, answer.problem]).toEqual([202, '']);
  }
  // nginx forwards no intermediates: they stand in the CA file then, and here they do not.
  const nginx = await lab.send({ proxy: true, headers: { 'x-client-cert': escaped(good) } });
  expect(nginx.problem).toBe('CERTIFICATE_REFUSED');
  const byRoot = await lab.root.issue({ cn: lab.victim });
  expect((await lab.send({ proxy: true, headers: { 'x-client-cert': escaped(byRoot) } })).status).toBe(202);
  expect(await lab.queued()).toBe(before + goods.length + 1);
});
