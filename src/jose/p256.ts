/** The curve P-256 (SEC 2, secp256r1): y^2 = x^3 - 3x + b over the prime field of p. */
const P = 0xffffffff00000001000000000000000000000000ffffffffffffffffffffffffn;
const B = 0x5ac635d8aa3a93e7b3ebbd55769886bc651d06b0cc53b0f63bce3c3e27d2604bn;

/**
 * Whether two 32-byte big-endian coordinates are a point of P-256. The curve has no small subgroup,
 * and the point at infinity has no such coordinates, so this is all there is to check.
 */
export function isOnP256(x: Uint8Array, y: Uint8Array): boolean {
  if (x.length !== 32 || y.length !== 32) return false;
  const [px, py] = [toInteger(x), toInteger(y)];
  if (px >= P || py >= P) return false;
  return (py * py - (px * px * px - 3n * px + B)) % P === 0n;
}

function toInteger(bytes: Uint8Array): bigint {
  return BigInt(`0x${Buffer.from(bytes).toString('hex')}`);
}
