import { request } from 'node:https';
import type { IncomingHttpHeaders } from 'node:http';

/** What came back. */
export interface Answer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly text: string;
  readonly url: string;
  json(): ReturnType<typeof JSON.parse>;
}

/** A client over real TLS that keeps cookies by origin and says where it comes from, as a browser does. */
export class Browser {
  readonly origin: string;
  readonly #ca: string;
  readonly #jars = new Map<string, Map<string, string>>();
  /** `csrf` of the session. */
  csrf = '';
  /** Every Set-Cookie line that came. */
  readonly setCookies: string[] = [];

  constructor(origin: string, ca: string) {
    this.origin = origin;
    this.#ca = ca;
  }

  cookie(name: string): string | undefined {
    return this.#jar(this.origin).get(name);
  }

  setCookie(name: string, value: string): void {
    this.#jar(this.origin).set(name, value);
  }

  get(path: string, headers: Record<string, string> = {}): Promise<Answer> {
    return this.send('GET', path, headers);
  }

  /** JSON with the session's token. */
  post(path: string, body: unknown = null, headers: Record<string, string> = {}): Promise<Answer> {
    return this.send(
      'POST',
      path,
      {
        origin: this.origin,
        'sec-fetch-site': 'same-origin',
        'x-csrf-token': this.csrf,
        ...(body === null ? {} : { 'content-type': 'application/json' }),
        ...headers,
      },
      body === null ? '' : JSON.stringify(body),
    );
  }

  /** A form as a page of the service sends it. */
  form(path: string, fields: Record<string, string>, headers: Record<string, string> = {}): Promise<Answer> {
    return this.send(
      'POST',
      path,
      { origin: this.origin, 'content-type': 'application/x-www-form-urlencoded', ...headers },
      new URLSearchParams(fields).toString(),
    );
  }

  /** Sends whatever is asked; headers whose value is '' are left out. */
  async send(method: string, path: string, headers: Record<string, string> = {}, body = ''): Promise<Answer> {
    const url = new URL(path, this.origin);
    const jar = this.#jar(url.origin);
    const cookies = [...jar].map(([name, value]) => `${name}=${value}`).join('; ');
    const sent = {
      ...(cookies === '' ? {} : { cookie: cookies }),
      ...(body === '' ? {} : { 'content-length': String(Buffer.byteLength(body)) }),
      ...Object.fromEntries(Object.entries(headers).filter(([, value]) => value !== '')),
    };
    const answer = await new Promise<Answer>((resolve, reject) => {
      const call = request(url, { method, ca: this.#ca, agent: false, headers: sent });
      call.on('error', reject);
      call.on('response', (response) => {
        let text = '';
        response.setEncoding('utf8');
        response.on('data', (part: string) => (text += part));
        response.on('end', () =>
          resolve({
            status: response.statusCode ?? 0,
            headers: response.headers,
            text,
            url: url.href,
            json: () => JSON.parse(text),
          }),
        );
      });
      call.end(body);
    });
    for (const line of answer.headers['set-cookie'] ?? []) {
      this.setCookies.push(line);
      const [pair = ''] = line.split(';', 1);
      const name = pair.slice(0, pair.indexOf('='));
      const value = pair.slice(pair.indexOf('=') + 1);
      if (value === '' || /max-age=0|expires=thu, 01 jan 1970/i.test(line)) jar.delete(name);
      else jar.set(name, value);
    }
    return answer;
  }

  /** Follows redirects until there is none. */
  async follow(answer: Answer): Promise<Answer> {
    let at = answer;
    for (let n = 0; n < 10 && at.status >= 300 && at.status < 400; n += 1) {
      at = await this.get(new URL(at.headers.location ?? '', at.url).href);
    }
    return at;
  }

  #jar(origin: string): Map<string, string> {
    const jar = this.#jars.get(origin) ?? new Map<string, string>();
    this.#jars.set(origin, jar);
    return jar;
  }
}
