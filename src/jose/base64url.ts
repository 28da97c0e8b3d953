const ALPHABET = /^[A-Za-z0-9_-]*$/;

/**
 * Decodes base64url in its one strict spelling (RFC 4648 section 5, no padding, no foreign
 * characters, unused bits zero), so that a token has no second spelling.
 *
 * @returns the bytes, or undefined where the text is anything else.
 */
export function decodeStrictBase64url(text: string): Buffer | undefined {
  if (!ALPHABET.test(text)) return undefined;
  const bytes = Buffer.from(text, 'base64url');
  return bytes.toString('base64url') === text ? bytes : undefined;
}
