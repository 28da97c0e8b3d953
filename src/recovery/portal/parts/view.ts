import type { HtmlEscapedString } from 'hono/utils/html';

/** What a component makes: markup in which every text and attribute was escaped. */
export type View = HtmlEscapedString | Promise<HtmlEscapedString>;
