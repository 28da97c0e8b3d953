/** The part of node-forge that pkcs12.ts uses. */
declare module 'node-forge' {
  type Asn1 = object;
  interface Bag {
    readonly key?: object | null;
    readonly cert?: object | null;
  }
  interface Pfx {
    getBags(filter: { readonly bagType: string }): Readonly<Record<string, readonly Bag[] | undefined>>;
  }
  const forge: {
    readonly util: { createBuffer(bytes: string): object };
    readonly asn1: { fromDer(bytes: object): Asn1 };
    readonly pkcs12: { pkcs12FromAsn1(asn1: Asn1, strict: boolean, password: string): Pfx };
    readonly pki: {
      readonly oids: {
        readonly certBag: string;
        readonly keyBag: string;
        readonly pkcs8ShroudedKeyBag: string;
      };
      readonly pbe: {
        getCipherForPBES2: (oid: string, params: object, password: string) => object;
      };
      certificateToPem(certificate: object): string;
      privateKeyToPem(key: object): string;
    };
  };
  export default forge;
}
