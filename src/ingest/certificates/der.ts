/** One element of DER: its tag, and where its value lies in the bytes. */
export interface DerElement {
  readonly tag: number;
  /** First byte of the whole element. */
  readonly start: number;
  /** First byte of the value. */
  readonly from: number;
  /** Behind the last byte of the value. */
  readonly end: number;
}

/** Tags that a revocation list uses. */
export const DER = {
  boolean: 0x01,
  integer: 0x02,
  bitString: 0x03,
  octetString: 0x04,
  objectIdentifier: 0x06,
  utcTime: 0x17,
  generalizedTime: 0x18,
  sequence: 0x30,
  explicit0: 0xa0,
} as const;

/**
 * Reads the element at `at`, which must end by `limit`.
 *
 * @throws Error where the bytes are no DER with definite lengths of at most four bytes.
 */
export function readDer(bytes: Uint8Array, at: number, limit: number): DerElement {
  const tag = bytes[at];
  const first = bytes[at + 1];
  if (tag === undefined || first === undefined || at + 2 > limit) throw new Error('the DER ends too early');
  if ((tag & 0x1f) === 0x1f) throw new Error('a DER tag of several bytes');
  let length = first;
  let from = at + 2;
  if (first >= 0x80) {
    const count = first & 0x7f;
    if (count === 0 || count > 4) throw new Error('a DER length that is not definite and short');
    length = 0;
    for (let i = 0; i < count; i += 1) length = length * 256 + (bytes[from + i] ?? 0);
    from += count;
  }
  if (from + length > limit) throw new Error('a DER element is longer than what holds it');
  return { tag, start: at, from, end: from + length };
}

/**
 * Reads an element of one tag.
 *
 * @throws Error where another tag stands there.
 */
export function expectDer(bytes: Uint8Array, at: number, limit: number, tag: number): DerElement {
  const element = readDer(bytes, at, limit);
  if (element.tag !== tag) throw new Error(`DER tag ${element.tag} where ${tag} must stand`);
  return element;
}

/** Milliseconds of a UTCTime or GeneralizedTime, in the one form that RFC 5280 allows. */
export function timeOfDer(bytes: Buffer, element: DerElement): number {
  const text = bytes.toString('latin1', element.from, element.end);
  const match = /^(\d{2}|\d{4})(\d{2})(\d{2})(\d{2})(\d{2})(\d{2})Z$/.exec(text);
  const short = element.tag === DER.utcTime;
  if (match === null || (match[1]?.length === 2) !== short) throw new Error('a time in another form');
  const [year = 0, month = 0, day = 0, hour = 0, minute = 0, second = 0] = match.slice(1).map(Number);
  const century = !short ? 0 : year < 50 ? 2000 : 1900;
  return Date.UTC(century + year, month - 1, day, hour, minute, second);
}
