import type { Guid } from '../../src/protocol/guid.js';

/** Fixed values of the vectors: the same in every file, easy to recognise in a hex dump. */

const guid = (text: string): Guid => text as Guid;

export const SITE = guid('11111111-2222-3333-4444-555555555555');
export const CLIENT = guid('aaaaaaaa-bbbb-4ccc-8ddd-000000000001');
export const MESSAGE = guid('0a0b0c0d-0e0f-4a0b-8c0d-0e0f10111213');
export const REGISTRATION = guid('bbbbbbbb-cccc-4ddd-8eee-000000000002');
export const REQUEST = guid('cccccccc-dddd-4eee-8fff-000000000003');
export const VOLUME = guid('8c1f0b2e-55d0-4b6e-9a53-3a2c9d0c7f10');
export const OTHER_VOLUME = guid('8c1f0b2e-55d0-4b6e-9a53-3a2c9d0c7f11');
export const KEY = guid('8637036e-b379-4798-bd9e-5a0b36296de3');
export const OLD_KEY = guid('5eed5eed-0000-4000-8000-00000000beef');
export const DATA_KEY = guid('dddddddd-eeee-4fff-8000-000000000004');

/** From libbde's documentation; its 128-bit value is 55a7e662e795eb3e8ac7d7be32a641f6. */
export const PASSWORD = '471207-278498-422125-177177-561902-537405-468006-693451';

/** 2026-01-02T03:04:05.678Z */
export const CREATED_MS = Date.UTC(2026, 0, 2, 3, 4, 5, 678);
/** A second later, by the site's clock. */
export const SERVER_MS = CREATED_MS + 1000;

/** Bytes first, first+1, … */
export const counting = (length: number, first = 0): Buffer =>
  Buffer.from(Array.from({ length }, (_, index) => (first + index) % 256));

export const REPLY_KEY = counting(32, 0x20);
export const NONCE = counting(32);
export const SECRET = counting(32, 0x40);
export const IV = counting(12, 0x80);
