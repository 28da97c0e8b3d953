import { CsvError, parse } from 'csv-parse/sync';
import { MpeError } from '../../ops/errors.js';
import type { DeviceRow } from '../../store/policy-store.js';
import { TAG } from '../policy/settings.js';
import { nameKey } from './devices-of.js';

/** Columns by what inventories call them, in lower case and without blanks, `-` and `_`. */
const COLUMNS: Readonly<Record<string, keyof Omit<DeviceRow, 'deviceKey'>>> = {
  name: 'machineName',
  machine: 'machineName',
  machinename: 'machineName',
  computer: 'machineName',
  computername: 'machineName',
  device: 'machineName',
  devicename: 'machineName',
  domain: 'domain',
  domainname: 'domain',
  hardwareid: 'hardwareId',
  smbiosuuid: 'hardwareId',
  smbiosguid: 'hardwareId',
  tag: 'tag',
  ring: 'tag',
};
/** Problems that one error names. */
const SHOWN = 20;
/** Letters of any script, digits and what host and NetBIOS names hold beside them. */
const NAME = /^[^\p{Cc}\s\\/:*?"<>|]{1,64}$/u;
const DOMAIN = /^[^\p{Cc}\s\\/:*?"<>|]{0,255}$/u;
const HARDWARE_ID = /^[^\p{Cc}]{0,256}$/u;

interface Parsed {
  readonly record: Readonly<Record<string, string>>;
  readonly info: { readonly lines: number };
}

/**
 * Reads an inventory of machines. Columns: name (needed), domain, hardware id, tag; others are passed
 * over. UTF-8 or UTF-16 with a mark; comma, semicolon or tab. `DOMAIN\NAME` in the name column is taken
 * apart where there is no domain.
 *
 * @throws MpeError VALUE_INVALID naming every wrong line (the first twenty); then nothing is to be imported
 */
export function readDevices(bytes: Buffer): DeviceRow[] {
  const text = textOf(bytes);
  if (text.trim() === '') throw refused(['it is empty']);
  const records = parseRecords(text);
  const problems: string[] = [];
  const seen = new Map<string, number>();
  const rows: DeviceRow[] = [];
  for (const { record, info } of records) {
    const row = deviceOf(record);
    const wrong = problemOf(row);
    const before = seen.get(row.deviceKey);
    if (wrong !== null) problems.push(`line ${info.lines}: ${wrong}`);
    else if (before !== undefined)
      problems.push(`line ${info.lines}: ${row.machineName} is in line ${before} already`);
    else {
      seen.set(row.deviceKey, info.lines);
      rows.push(row);
    }
  }
  if (problems.length > 0) throw refused(problems);
  if (rows.length === 0) throw refused(['there is no machine in it, only a heading']);
  return rows;
}

function refused(problems: readonly string[]): MpeError {
  const more = problems.length > SHOWN ? [`and ${problems.length - SHOWN} more`] : [];
  return new MpeError(
    'VALUE_INVALID',
    ['the list was not imported; nothing was changed:', ...problems.slice(0, SHOWN), ...more].join('\n  '),
    { facts: { problems: problems.length } },
  );
}

function textOf(bytes: Buffer): string {
  if (bytes[0] === 0xff && bytes[1] === 0xfe) return bytes.subarray(2).toString('utf16le');
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch {
    throw refused(['it is not UTF-8 text; save it as UTF-8']);
  }
}

function parseRecords(text: string): readonly Parsed[] {
  const heading = /^.*/.exec(text)?.[0] ?? '';
  const [delimiter = ','] = [',', ';', '\t']
    .map((one) => [one, heading.split(one).length] as const)
    .sort((a, b) => b[1] - a[1])
    .map(([one]) => one);
  try {
    return parse(text, {
      ...{ bom: true, delimiter, info: true, skip_empty_lines: true, trim: true },
      columns: (names: readonly string[]) => columnsOf(names),
    }) as unknown as readonly Parsed[];
  } catch (error) {
    if (!(error instanceof CsvError)) throw error;
    // Its text names the line.
    throw refused([error.message]);
  }
}

/** The heading: what is known by its column, what is not by nothing. */
function columnsOf(names: readonly string[]): (string | undefined)[] {
  const columns = names.map((name) => COLUMNS[name.toLowerCase().replace(/[\s_-]/g, '')]);
  const twice = columns.find((one, i) => one !== undefined && columns.indexOf(one) !== i);
  if (twice !== undefined) throw refused([`line 1: two columns are ${twice}`]);
  if (!columns.includes('machineName'))
    throw refused([
      `line 1: there is no column "name" (or machine, computer, device). Columns: name, domain, hardware id, tag; it has ${names.join(', ')}`,
    ]);
  return columns;
}

function deviceOf(record: Readonly<Record<string, string>>): DeviceRow {
  const [name, domain] = [record['machineName'] ?? '', record['domain'] ?? ''];
  const [, before = domain, machineName = name] =
    domain === '' ? (/^([^\\]+)\\([^\\]+)$/.exec(name) ?? []) : [];
  return {
    ...{ machineName, domain: before, hardwareId: record['hardwareId'] ?? '', tag: record['tag'] ?? '' },
    deviceKey: nameKey(before, machineName),
  };
}

function problemOf(row: DeviceRow): string | null {
  if (row.machineName === '') return 'the name is empty';
  if (!NAME.test(row.machineName)) return `the name has more than 64 or other characters than a name has`;
  if (!DOMAIN.test(row.domain)) return 'the domain has more than 255 or other characters than a domain has';
  if (!HARDWARE_ID.test(row.hardwareId)) return 'the hardware id is no text of at most 256 characters';
  if (row.tag !== '' && !TAG.test(row.tag)) return 'the tag must have 1 to 64 of A-Z a-z 0-9 . _ -';
  return null;
}
