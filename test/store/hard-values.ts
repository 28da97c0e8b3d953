import { MAX_TIME_MS, MIN_TIME_MS } from '../../src/protocol/wire.js';

/** Texts that somebody may send and that a store must give back as they came. */
export const HARD_TEXTS: readonly string[] = [
  'GERÄT-ß-ÅØ',
  // The same letters, composed and combining: two texts.
  'é\u00e9 e\u0301',
  '电脑-01 コンピュータ 컴퓨터',
  'מחשב مرحبا',
  // Beyond the first plane, and several code points that show as one.
  '🖥️ 👩‍👩‍👧 🏳️‍🌈 𝔘𝔫𝔦',
  `O'Brien "quoted" \`ticked\` ''doubled''`,
  '[dbo].[MPE_Keys] ]] [',
  '100 % _ [a-z] ^',
  'a;b; -- c /* d */ GO',
  'C:\\temp\\new \\u0041 \\',
  "'); DROP TABLE MPE_Clients; --",
  `"}]' OR 1=1; EXEC xp_cmdshell('x') --`,
  '@p1 ?1 :name $1 ${x} {{y}}',
  '{"a":[1,"b"]} <x y="z">&amp;</x>',
  '=1+1',
  'NULL',
  '',
  ' leading',
  'trailing   ',
  '   ',
  '\u200bzero\u200dwidth\ufeff',
];

/** A text at a limit of the protocol, of characters that take one UTF-16 unit or two. */
export const longest = (limit: number): string[] => ['x'.repeat(limit), 'ß'.repeat(limit), '🖥'.repeat(limit)];

/** Times that servers and drivers like to move: nights of a clock change, ends of the calendar. */
export const HARD_TIMES: readonly number[] = [
  ...[0, 1, 29, 30, 59, 60, 61, 89, 90].map((minutes) => Date.UTC(2026, 9, 25, 0, minutes)),
  Date.UTC(2026, 9, 25, 0, 59, 59, 999),
  Date.UTC(2026, 9, 25, 1, 0, 0, 1),
  ...[0, 59, 60, 61].map((minutes) => Date.UTC(2026, 2, 29, 0, minutes, 7, 123)),
  Date.UTC(2024, 1, 29, 23, 59, 59, 999),
  0,
  -1,
  1,
  Date.UTC(1899, 11, 31, 23, 59, 59, 997),
  MIN_TIME_MS,
  MIN_TIME_MS + 1,
  MAX_TIME_MS - 1,
  MAX_TIME_MS,
];
