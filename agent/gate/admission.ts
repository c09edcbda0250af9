/** Who may pass the gate: whoever brings a token that the control plane signed for this instance and epoch, at this moment. */
import { jwtVerify } from "jose";
import {
  type GateClaims,
  gateAudience,
  gateClaimsSchema,
  gateIssuer,
  gateTokenLifeMs,
} from "../../core/protocol/gate.ts";

export interface Admission {
  isKeyed(): boolean;
  /** base64url, as the control plane gave it. */
  setKey(key: string): void;
  /** Null: not admitted. */
  admit(token: string | undefined): Promise<GateClaims | null>;
}

/** The same token comes with many requests. */
const maxKnown = 256;
/** The clock of a rented machine may be off by a little. */
const clockToleranceSeconds = 30;

export function createAdmission(instance: string, epoch: number): Admission {
  let key: Uint8Array | null = null;
  let known = new Map<string, { claims: GateClaims; untilAt: number }>();

  const verify = async (token: string, secret: Uint8Array): Promise<GateClaims | null> => {
    try {
      const { payload } = await jwtVerify(token, secret, {
        issuer: gateIssuer,
        audience: gateAudience,
        subject: instance,
        algorithms: ["HS256"],
        requiredClaims: ["exp", "iat"],
        clockTolerance: clockToleranceSeconds,
      });
      const claims = gateClaimsSchema.parse(payload);
      const { iat = 0, exp = 0 } = payload;
      if (claims.epoch !== epoch || (exp - iat) * 1000 > gateTokenLifeMs) return null;
      known.set(token, { claims, untilAt: (exp + clockToleranceSeconds) * 1000 });
      return claims;
    } catch {
      return null;
    }
  };

  return {
    isKeyed: () => key !== null,
    setKey(text) {
      key = Buffer.from(text, "base64url");
      known = new Map();
    },
    async admit(token) {
      if (!token || !key) return null;
      const before = known.get(token);
      if (before && Date.now() < before.untilAt) return before.claims;
      if (known.size >= maxKnown) known = new Map();
      return verify(token, key);
    },
  };
}
