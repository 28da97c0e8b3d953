/** Lets clients begin in waves: the first at once, each other one when `next` is called. */
export class Waves {
  readonly #gates: { readonly open: Promise<void>; readonly pass: () => void }[] = [];
  #passed = 0;

  constructor(count: number) {
    for (let wave = 0; wave < count; wave += 1) {
      let pass: () => void = () => undefined;
      const open = new Promise<void>((resolve) => {
        pass = resolve;
      });
      this.#gates.push({ open, pass });
    }
    this.next();
  }

  /** Lets the next wave begin. */
  next(): void {
    this.#gates[this.#passed]?.pass();
    this.#passed += 1;
  }

  /** What client number `client` waits for. */
  gate(client: number): Promise<void> {
    return this.#gates[client % this.#gates.length]?.open ?? Promise.resolve();
  }
}
