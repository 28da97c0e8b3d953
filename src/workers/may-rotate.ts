// Decided in one place for workers and the recovery service.
export {
  mayRotate,
  rotationRefusal,
  type RotationOrigin,
  type RotationRefusal,
} from '../store/may-rotate.js';
