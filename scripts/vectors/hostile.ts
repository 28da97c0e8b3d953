/** Tokens that every party must refuse, made from good ones by fixed steps. */

/** One token that is refused, and why. */
export interface HostileVector {
  readonly name: string;
  readonly typ: string;
  readonly token: string;
}

function withHeader(token: string, change: (header: Record<string, unknown>) => unknown): string {
  const [header = '', ...rest] = token.split('.');
  const members = JSON.parse(Buffer.from(header, 'base64url').toString()) as Record<string, unknown>;
  return [Buffer.from(JSON.stringify(change(members))).toString('base64url'), ...rest].join('.');
}

const without = (name: string) => (header: Record<string, unknown>) =>
  Object.fromEntries(Object.entries(header).filter(([one]) => one !== name));

/** From an envelope token, a sealed reply and a signed message, all good. */
export function hostileVectors(good: {
  readonly envelope: string;
  readonly reply: string;
  readonly message: string;
}): HostileVector[] {
  const { envelope, reply, message } = good;
  const [h = '', k = '', iv = '', ciphertext = '', tag = ''] = envelope.split('.');
  const [mh = '', mp = '', ms = ''] = message.split('.');
  const env = (name: string, token: string): HostileVector => ({ name, typ: 'mpe-env', token });
  const rep = (name: string, token: string): HostileVector => ({ name, typ: 'mpe-reply', token });
  const msg = (name: string, token: string): HostileVector => ({ name, typ: 'mpe-msg+jws', token });
  return [
    env(
      'zip',
      withHeader(envelope, (header) => ({ ...header, zip: 'DEF' })),
    ),
    env(
      'crit',
      withHeader(envelope, (header) => ({ ...header, crit: ['exp'], exp: 0 })),
    ),
    env(
      'RSA1_5',
      withHeader(envelope, (header) => ({ ...header, alg: 'RSA1_5' })),
    ),
    env(
      'RSA-OAEP with SHA-1',
      withHeader(envelope, (header) => ({ ...header, alg: 'RSA-OAEP' })),
    ),
    env(
      'PBES2 with two thousand million rounds',
      withHeader(envelope, (header) => ({ ...header, alg: 'PBES2-HS256+A128KW', p2c: 2e9, p2s: 'AAAA' })),
    ),
    env(
      'dir in an envelope',
      withHeader(envelope, (header) => ({ ...header, alg: 'dir' })),
    ),
    env(
      'CBC content encryption',
      withHeader(envelope, (header) => ({ ...header, enc: 'A256CBC-HS512' })),
    ),
    env('no kid', withHeader(envelope, without('kid'))),
    env('no typ', withHeader(envelope, without('typ'))),
    env(
      'a typ of another place',
      withHeader(envelope, (header) => ({ ...header, typ: 'mpe-dk' })),
    ),
    env(
      'a key in the header',
      withHeader(envelope, (header) => ({ ...header, jwk: { kty: 'oct', k: 'AA' } })),
    ),
    env(
      'a header that is null',
      withHeader(envelope, () => null),
    ),
    env('six parts', `${envelope}.AAAA`),
    env('four parts', [h, k, iv, ciphertext].join('.')),
    env('padding', [h, k, iv, `${ciphertext}=`, tag].join('.')),
    env('junk behind the ciphertext', [h, k, iv, `${ciphertext}*`, tag].join('.')),
    env('white space', `${envelope}\n`),
    env('a short tag', [h, k, iv, ciphertext, tag.slice(0, 16)].join('.')),
    env('an empty IV', [h, k, '', ciphertext, tag].join('.')),
    rep(
      'A256GCMKW in a reply',
      withHeader(reply, (header) => ({ ...header, alg: 'A256GCMKW' })),
    ),
    rep('an encrypted key in a direct reply', reply.replace('..', '.AAAA.')),
    rep(
      'a thumbprint as the kid of a reply',
      withHeader(reply, (header) => ({ ...header, kid: 'A'.repeat(43) })),
    ),
    msg('alg none', [Buffer.from('{"alg":"none"}').toString('base64url'), mp, ''].join('.')),
    msg(
      'HS256',
      withHeader(message, (header) => ({ ...header, alg: 'HS256' })),
    ),
    msg('a DER signature', [mh, mp, `MEUCIQ${ms.slice(6)}AAAAAAAA`].join('.')),
    msg('unsigned', [mh, mp, ''].join('.')),
  ];
}
