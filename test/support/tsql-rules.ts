import ts from 'typescript';

/** Something that SQL Server and Babelfish do not both take, or not both in one way. */
export interface TsqlRule {
  readonly name: string;
  /** The text without comments, upper case, every string literal as ''. */
  readonly found: (code: string, tables: TriggerTables) => boolean;
}

/** Tables with a trigger for an action: OUTPUT without INTO is refused there (334). */
export interface TriggerTables {
  readonly INSERT: ReadonlySet<string>;
  readonly DELETE: ReadonlySet<string>;
}

const pattern = (name: string, regex: RegExp): TsqlRule => ({ name, found: (code) => regex.test(code) });

/** Statements by their first word; good enough for rules about one statement. */
const statements = (code: string, word: string): string[] =>
  [...code.matchAll(new RegExp(`\\b${word}\\b[^;]*`, 'g'))].map(([text]) => text);

/** `OUTPUT` that answers rows, not `OUTPUT … INTO`. */
const answers = (statement: string): boolean =>
  /\bOUTPUT\s+(INSERTED|DELETED)\b/.test(statement) &&
  !/\bOUTPUT\b(?:(?!\bSELECT\b|\bVALUES\b|\bFROM\b).)*\bINTO\b/s.test(
    statement.replace(/^INSERT\s+INTO/, ''),
  );

const target = (statement: string): string =>
  /^(?:INSERT\s+(?:INTO\s+)?|DELETE\s+(?:TOP\s*\([^)]*\)\s*)?(?:FROM\s+)?)(?:DBO\.)?(\w+)/.exec(
    statement,
  )?.[1] ?? '';

export const TSQL_RULES: readonly TsqlRule[] = [
  pattern('MERGE', /\bMERGE\s+(INTO\s+|TOP\b|[\w.[\]]+\s+(AS\s+)?\w*\s*(WITH\b|USING\b))/),
  pattern('CREATE OR ALTER', /\bCREATE\s+OR\s+ALTER\b/),
  {
    name: 'inline index',
    found: (code) =>
      statements(code, 'CREATE\\s+TABLE').some((text) =>
        /[(,]\s*INDEX\b|\bINDEX\s+IX_\w+\s*(\(|,|UNIQUE|NONCLUSTERED)/.test(text),
      ),
  },
  pattern(
    'change through a CTE',
    /\bWITH\s+(\w+)\s*(\([^)]*\))?\s*AS\s*\([\s\S]*\)\s*(UPDATE|DELETE\s+(FROM\s+)?)\s*\1\b/,
  ),
  pattern('TOP WITH TIES', /\bWITH\s+TIES\b/),
  pattern('WAITFOR', /\bWAITFOR\b/),
  pattern('ALTER DATABASE', /\bALTER\s+DATABASE\b/),
  pattern(
    'temporal or ledger table',
    /\bSYSTEM_VERSIONING\b|\bPERIOD\s+FOR\b|\bLEDGER\b|\bFOR\s+SYSTEM_TIME\b/,
  ),
  pattern('row-level security', /\bSECURITY\s+POLICY\b/),
  pattern('DENY', /(^|[;\n])\s*DENY\b/),
  pattern('GRANT ON TYPE', /\bON\s+TYPE\s*::/),
  pattern('EXECUTE AS', /\b(EXECUTE|EXEC)\s+AS\b/),
  pattern(
    'keys and certificates',
    /\b(CREATE|ALTER|OPEN|DROP)\s+(MASTER\s+KEY|CERTIFICATE|(A?SYMMETRIC)\s+KEY)\b/,
  ),
  pattern('cryptography', /\b(ENCRYPTBY|DECRYPTBY)\w+\s*\(/),
  pattern('CRYPT_GEN_RANDOM', /\bCRYPT_GEN_RANDOM\s*\(/),
  pattern('COMPRESS', /\b(DE)?COMPRESS\s*\(/),
  pattern('global temporary table', /##\w+/),
  pattern('UTF-8 collation', /\bCOLLATE\s+\w+_UTF8\b/),
  pattern('ALTER COLUMN NULL', /\bALTER\s+COLUMN\b[^;]*(?<!\bNOT)\s+NULL\b/),
  pattern('synonym', /\b(CREATE|DROP)\s+SYNONYM\b/),
  pattern('rowversion', /\bROWVERSION\b|\s+TIMESTAMP\s+(NOT\s+NULL|NULL|,)/),
  pattern('isolation level', /\bSERIALIZABLE\b|\bREPEATABLE\s*READ\b|\bSNAPSHOT\b/),
  pattern(
    'lock hint',
    /\b(UPDLOCK|HOLDLOCK|READPAST|NOLOCK|ROWLOCK|PAGLOCK|TABLOCKX?|XLOCK|READCOMMITTEDLOCK|READUNCOMMITTED)\b/,
  ),
  pattern('table-valued parameter', /\bREADONLY\b|\bCREATE\s+TYPE\b/),
  pattern('count of rows', /@@ROWCOUNT\b|\bROWCOUNT_BIG\s*\(/),
  {
    name: 'OUTPUT of an UPDATE',
    found: (code) =>
      statements(code, 'UPDATE\\s+(?!ON|OF|,|DELETE|AS)[\\w.\\[\\]]+').some((text) =>
        /\bOUTPUT\s+(INSERTED|DELETED)\b/.test(text),
      ),
  },
  {
    name: 'OUTPUT on a table with a trigger for the action (334)',
    found: (code, tables) =>
      (['INSERT', 'DELETE'] as const).some((word) =>
        statements(code, word).some((text) => answers(text) && tables[word].has(target(text))),
      ),
  },
  pattern(
    'SET of an option',
    /(^|[;\n])\s*SET\s+(?!@)(NOCOUNT|XACT_ABORT|TRANSACTION|LOCK_TIMEOUT|DEADLOCK_PRIORITY|ANSI_\w+|QUOTED_IDENTIFIER|ARITHABORT|CONCAT_NULL_YIELDS_NULL|DATEFORMAT|DATEFIRST|LANGUAGE|ROWCOUNT|TEXTSIZE|CONTEXT_INFO|IDENTITY_INSERT)\b/,
  ),
  pattern('date style 112 or 126', /\bCONVERT\s*\((?:[^()]|\([^()]*\))*,\s*(112|126)\s*\)/),
  pattern(
    'sum of binaries',
    /\b0X[0-9A-F]*\s*\+|\+\s*0X[0-9A-F]|\bCONVERT\s*\(\s*VARBINARY\b[^+;]*\)\s*\+\s*CONVERT\s*\(\s*VARBINARY\b/,
  ),
  pattern('base64 inside the server', /\bXS:BASE64BINARY\b|\bBASE64_(EN|DE)CODE\s*\(/),
  pattern(
    'newer than SQL Server 2019',
    /\b(GREATEST|LEAST|GENERATE_SERIES|DATETRUNC|DATE_BUCKET|JSON_OBJECT|JSON_ARRAY|JSON_PATH_EXISTS|LEFT_SHIFT|RIGHT_SHIFT|BIT_COUNT|REGEXP_LIKE)\s*\(|\bIS\s+(NOT\s+)?DISTINCT\s+FROM\b/,
  ),
  pattern(
    'SQLite',
    /\bON\s+CONFLICT\b|\bRETURNING\b|\bLIMIT\s+[\d?@]|\bINSERT\s+OR\s+|\bJSON_EACH\b|\bEXCLUDED\./,
  ),
];

/** In queries of the program alone: a .sql file has them on purpose. */
export const QUERY_RULES: readonly TsqlRule[] = [pattern('GO', /^[ \t]*GO[ \t]*$/m)];

/** Comments gone, string literals emptied, upper case. Nested block comments count, as the server does. */
export function codeOf(sql: string): string {
  let code = '';
  for (let at = 0; at < sql.length;) {
    const rest = sql.slice(at, at + 2);
    if (rest === '--') at = endOf(sql, '\n', at);
    else if (rest === '/*') at = endOfBlock(sql, at);
    else if (sql[at] === "'") {
      at = endOfText(sql, at);
      code += "''";
    } else code += sql[at++]!.toUpperCase();
  }
  return code;
}

function endOf(sql: string, mark: string, from: number): number {
  const at = sql.indexOf(mark, from);
  return at < 0 ? sql.length : at;
}

function endOfBlock(sql: string, from: number): number {
  let depth = 0;
  for (let at = from; at < sql.length;) {
    const two = sql.slice(at, at + 2);
    if (two === '/*') depth += 1;
    if (two === '*/') depth -= 1;
    at += two === '/*' || two === '*/' ? 2 : 1;
    if (depth === 0) return at;
  }
  return sql.length;
}

function endOfText(sql: string, from: number): number {
  for (let at = from + 1; at < sql.length; at += 1) {
    if (sql[at] !== "'") continue;
    if (sql[at + 1] !== "'") return at + 1;
    at += 1;
  }
  return sql.length;
}

/** Names of the rules that a text breaks. */
export function broken(sql: string, rules: readonly TsqlRule[], tables: TriggerTables): string[] {
  const code = codeOf(sql);
  return rules.filter((rule) => rule.found(code, tables)).map((rule) => rule.name);
}

/** Tables by the actions that their triggers look at, from CREATE TRIGGER statements. */
export function triggerTables(sql: string): TriggerTables {
  const triggers = [
    ...codeOf(sql).matchAll(/\bCREATE\s+TRIGGER\s+\S+\s+ON\s+(?:DBO\.)?(\w+)\s+AFTER\s+([\w, ]+?)\s+AS\b/g),
  ];
  const of = (action: string): Set<string> =>
    new Set(triggers.filter(([, , actions]) => actions!.includes(action)).map(([, table]) => table!));
  return { INSERT: of('INSERT'), DELETE: of('DELETE') };
}

/** A text of SQL in a TypeScript file. */
export interface SqlText {
  readonly line: number;
  readonly sql: string;
}

const LOOKS_LIKE_SQL =
  /\b(SELECT\s|INSERT\s+INTO|UPDATE\s+\w|DELETE\s+FROM|CREATE\s+\w|ALTER\s+\w|DROP\s+\w|EXEC\s|DECLARE\s+@|MERGE\s|GRANT\s|DENY\s|FROM\s+\w|JOIN\s+\w|WHERE\s|SET\s+\w|WAITFOR\b|OUTPUT\s|WITH\s*\()/;

/** String and template literals that look like SQL; an inserted expression reads as a name. */
export function sqlTexts(source: ts.SourceFile): SqlText[] {
  const texts: SqlText[] = [];
  const visit = (node: ts.Node): void => {
    const text = literalText(node);
    if (text !== null && LOOKS_LIKE_SQL.test(text)) {
      texts.push({ line: source.getLineAndCharacterOfPosition(node.getStart(source)).line + 1, sql: text });
    }
    node.forEachChild(visit);
  };
  visit(source);
  return texts;
}

function literalText(node: ts.Node): string | null {
  if (ts.isStringLiteral(node) || ts.isNoSubstitutionTemplateLiteral(node)) return node.text;
  if (!ts.isTemplateExpression(node)) return null;
  return node.head.text + node.templateSpans.map((span) => `inserted${span.literal.text}`).join('');
}

/** Parts of the driver that one of the servers gets wrong. */
const DRIVER_NAMES: ReadonlySet<string> = new Set([
  'PreparedStatement',
  'rowsAffected',
  'TVP',
  'SERIALIZABLE',
  'REPEATABLE_READ',
  'SNAPSHOT',
]);

/** Names of the driver's API that must not be used: `line: name`. */
export function driverNames(source: ts.SourceFile): string[] {
  const found: string[] = [];
  const visit = (node: ts.Node): void => {
    const tableOfDriver = ts.isPropertyAccessExpression(node) && node.getText(source) === 'sql.Table';
    if (tableOfDriver || (ts.isIdentifier(node) && DRIVER_NAMES.has(node.text))) {
      const { line } = source.getLineAndCharacterOfPosition(node.getStart(source));
      found.push(`${line + 1}: ${node.getText(source)}`);
    }
    node.forEachChild(visit);
  };
  visit(source);
  return found;
}

/** A TypeScript text parsed alone. */
export function parse(name: string, text: string): ts.SourceFile {
  return ts.createSourceFile(name, text, ts.ScriptTarget.ES2023, true);
}
