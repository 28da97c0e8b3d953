import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { withTables } from '../../scripts/protocol-tables.js';
import { decodeSiteDocument } from '../../src/protocol/site-document.js';
import { REGISTRATION_REASONS, REGISTRATION_STATUSES } from '../../src/protocol/vocabulary.js';
import { sampleSiteDocument } from '../support/site-document.js';
import { encodeSiteDocument } from '../../src/protocol/site-document.js';
import { ALGORITHM_RULES, TOKEN_RULES } from '../../src/jose/token-rules.js';

const page = readFileSync(new URL('../../docs/protocol.md', import.meta.url), 'utf8');
const anchors = new Set(
  [...page.matchAll(/^#+ (.+)$/gm)].map(([, title]) =>
    title!
      .toLowerCase()
      .replaceAll(/[^\p{L}\p{N} -]/gu, '')
      .replaceAll(' ', '-'),
  ),
);

test('the tables of reasons, problems and limits are those of the program', () => {
  expect(withTables(page)).toBe(page);
});

test('every question of a client author has its heading', () => {
  const questions = {
    'GUID bytes, and what C# does to them': 'guid-bytes',
    'payload encoding': 'payload-encoding',
    'exact JOSE headers': 'jose-headers',
    'ES256 form': 'es256-signatures',
    kid: 'kid',
    'which key of several': 'which-key-of-several',
    'first trust and root change': 'first-trust-and-root-change',
    'caching of the site document': 'the-site-document',
    'registration bytes': 'registration',
    'token and renewal bytes': 'site-token',
    'what a 401 means and what never to do': 'what-a-401-means',
    'what works with a wrong clock': 'a-wrong-clock',
    'sequence start, gaps, persistence, recovery': 'sequence',
    'the same payload': 'the-same-payload',
    'the same id while queued, quarantined, committed': 'the-same-id-again',
    'polling or re-sending': 'polling-or-re-sending',
    'limits of Prefer: wait': 'prefer-wait',
    'which parts of a reply are authenticated': 'replies-what-is-authenticated',
    'PARTIAL and what may be dropped': 'results-per-key-and-partial',
    'every reason, status and retry': 'reasons',
    'order, repetition and expiry of commands': 'commands',
    'unknown fields, values and bodies': 'unknown-fields-values-and-bodies',
    'all limits': 'limits',
  };
  for (const [question, anchor] of Object.entries(questions)) expect(anchors, question).toContain(anchor);
});

test('every link inside the page leads somewhere', () => {
  const links = [...page.matchAll(/\]\(#([^)]+)\)/g)].map(([, anchor]) => anchor!);
  expect(links.length).toBeGreaterThan(20);
  for (const anchor of links) expect(anchors).toContain(anchor);
});

test('the header table names each token that a client meets, with its exact members', () => {
  for (const typ of [
    'mpe-env',
    'mpe-msg+jws',
    'mpe-reg+jws',
    'mpe-token+jws',
    'mpe-site+jws',
    'mpe-reply',
  ] as const) {
    for (const alg of TOKEN_RULES[typ].algs) {
      const header = [...page.matchAll(/`(\{"alg".*?\})`/g)].map(
        ([, text]) => JSON.parse(text!.replaceAll(/"<[^>]*>"/g, '"…"')) as Record<string, unknown>,
      );
      const found = header.filter((one) => one['typ'] === typ && one['alg'] === alg);
      expect(found, `${typ} ${alg}`).toHaveLength(1);
      expect(Object.keys(found[0]!).sort()).toEqual([...ALGORITHM_RULES[alg].names].sort());
    }
  }
});

test('every member of the site document and every word of a registration is explained', async () => {
  const { document } = await sampleSiteDocument();
  for (const member of Object.keys(decodeSiteDocument(encodeSiteDocument(document)))) {
    expect(page, member).toContain(`\`${member}\``);
  }
  for (const word of [...REGISTRATION_STATUSES, ...REGISTRATION_REASONS]) {
    if (word !== 'NONE') expect(page, word).toContain(`\`${word}\``);
  }
});
