import type { Child } from 'hono/jsx';
import type { View } from './view.js';

/** A column: its heading, how a row fills it. The first one heads its row. */
export interface Column<T> {
  readonly head: string;
  readonly cell: (row: T) => Child;
  readonly number?: boolean;
}

/**
 * A table with a caption. On a phone each row is a card, its cells named by their headings; the roles say
 * that it stays a table. Where it is wider than its window still, it scrolls by keyboard too.
 */
export function Table<T>({
  caption,
  columns,
  rows,
  keyOf,
  empty,
}: {
  readonly caption: string;
  readonly columns: readonly Column<T>[];
  readonly rows: readonly T[];
  readonly keyOf: (row: T) => string;
  /** What an empty table means. */
  readonly empty: Child;
}): View {
  if (rows.length === 0) return <div class="empty">{empty}</div>;
  const look = (column: Column<T>): string | undefined =>
    column.number === true ? 'cell-number' : undefined;
  return (
    <div class="table-frame" role="region" aria-label={caption} tabindex={0}>
      <table role="table">
        <caption>{caption}</caption>
        <thead role="rowgroup">
          <tr role="row">
            {columns.map((column) => (
              <th scope="col" role="columnheader" class={look(column)} key={column.head}>
                {column.head}
              </th>
            ))}
          </tr>
        </thead>
        <tbody role="rowgroup">
          {rows.map((row) => (
            <tr role="row" key={keyOf(row)}>
              {columns.map((column, index) =>
                index === 0 ? (
                  <th
                    scope="row"
                    role="rowheader"
                    class={look(column)}
                    data-head={column.head}
                    key={column.head}
                  >
                    <div>{column.cell(row)}</div>
                  </th>
                ) : (
                  <td role="cell" class={look(column)} data-head={column.head} key={column.head}>
                    <div>{column.cell(row)}</div>
                  </td>
                ),
              )}
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

/** Facts in two columns: what, and which. Absent ones are left out. */
export function Facts({
  facts,
}: {
  readonly facts: readonly (readonly [name: string, value: Child] | null)[];
}): View {
  return (
    <dl class="facts">
      {facts.map((fact) =>
        fact === null ? null : (
          <>
            <dt>{fact[0]}</dt>
            <dd>{fact[1]}</dd>
          </>
        ),
      )}
    </dl>
  );
}
