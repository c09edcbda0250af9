/**
 * Keys of an encrypted instance: one data key of 32 random bytes, from which everything is derived (HKDF-SHA-256), and
 * its wrapping under a passphrase (scrypt, AES-256-GCM). Layout and derivations: "Encryption" in core/snapshot/FORMAT.md.
 * The data key itself lives in memory only; manifests carry it wrapped.
 */
import { createCipheriv, createDecipheriv, createHmac, hkdfSync, randomBytes, scrypt } from "node:crypto";
import type { PartCipher, SnapshotCipher } from "../../core/snapshot/cipher.ts";
import { damaged } from "../../core/snapshot/error.ts";
import type { Manifest } from "../../core/snapshot/manifest.ts";
import { copyBytes } from "./primitives.ts";
import { Stop } from "./stop.ts";

export type Encryption = NonNullable<Manifest["encryption"]>;

const keyBytes = 32;
const nonceBytes = 12;
const tagBytes = 16;
/** Node makes a new buffer for each step; those of a few 100 KiB cost half as much as one for all (measured). */
const stepBytes = 128 * 1024;
const algorithm = "aes-256-gcm";

/** scrypt with 64 MiB of memory, about 0.2 s. */
const scryptDefaults = { ln: 16, r: 8, p: 1 };
/** What a manifest may ask of its reader. */
const maxScryptBytes = 512 * 1024 * 1024;

export function newDataKey(): Uint8Array {
  return randomBytes(keyBytes);
}

/** Ids and part keys under `dataKey` (32 bytes). */
export function openCipher(dataKey: Uint8Array): SnapshotCipher {
  const idKey = derive(dataKey, new Uint8Array(0), "soneca chunk id");
  return {
    keyId: keyIdOf(dataKey),
    idKey,
    newSalt: () => randomBytes(16),
    part: (salt) => partCipher(derive(dataKey, salt, "soneca part")),
  };
}

/** The id of a chunk under `idKey` (32 bytes), as a byte string. */
export function keyedChunkId(idKey: Uint8Array, bytes: Uint8Array): string {
  return createHmac("sha256", idKey).update(bytes).digest("binary");
}

export async function wrapDataKey(dataKey: Uint8Array, passphrase: string): Promise<Encryption> {
  const { ln, r, p } = scryptDefaults;
  const kdf = `scrypt:ln=${ln},r=${r},p=${p},salt=${randomBytes(16).toString("hex")}`;
  const keyId = keyIdOf(dataKey);
  const nonce = randomBytes(nonceBytes);
  const cipher = createCipheriv(algorithm, await passphraseKey(kdf, passphrase), nonce);
  cipher.setAAD(wrappingAad(kdf, keyId));
  const sealed = Buffer.concat([nonce, cipher.update(dataKey), cipher.final(), cipher.getAuthTag()]);
  return { kdf, wrappedKey: sealed.toString("hex"), keyId };
}

/** Errors: Stop `passphrase_wrong`; `manifest_invalid` for a wrapping that no writer makes. */
export async function unwrapDataKey(encryption: Encryption, passphrase: string): Promise<Uint8Array> {
  const { kdf, wrappedKey, keyId } = encryption;
  if (!new RegExp(`^[0-9a-f]{${2 * (nonceBytes + keyBytes + tagBytes)}}$`).test(wrappedKey))
    throw new Stop("manifest_invalid", "The manifest's wrapped key has another form.", false);
  const sealed = Buffer.from(wrappedKey, "hex");
  const decipher = createDecipheriv(algorithm, await passphraseKey(kdf, passphrase), sealed.subarray(0, nonceBytes), {
    authTagLength: tagBytes,
  });
  decipher.setAAD(wrappingAad(kdf, keyId));
  decipher.setAuthTag(sealed.subarray(-tagBytes));
  try {
    return Buffer.concat([decipher.update(sealed.subarray(nonceBytes, -tagBytes)), decipher.final()]);
  } catch {
    throw new Stop("passphrase_wrong", "The passphrase does not open this instance's key.", false);
  }
}

function derive(dataKey: Uint8Array, salt: Uint8Array, info: string): Uint8Array {
  if (dataKey.length !== keyBytes) throw new RangeError("a data key has 32 bytes");
  return new Uint8Array(hkdfSync("sha256", dataKey, salt, info, keyBytes));
}

function keyIdOf(dataKey: Uint8Array): string {
  return Buffer.from(derive(dataKey, new Uint8Array(0), "soneca key id")).toString("hex", 0, 8);
}

function wrappingAad(kdf: string, keyId: string): Uint8Array {
  return Buffer.from(`soneca key 1\n${kdf}\n${keyId}`);
}

async function passphraseKey(kdf: string, passphrase: string): Promise<Uint8Array> {
  const match = /^scrypt:ln=(\d{1,2}),r=(\d{1,2}),p=(\d{1,2}),salt=([0-9a-f]{32})$/.exec(kdf);
  if (!match) throw new Stop("snapshot_format_unknown", `The key is wrapped by ${JSON.stringify(kdf)}.`, false);
  const [ln, r, p] = match.slice(1, 4).map(Number) as [number, number, number];
  const memory = 128 * 2 ** ln * r;
  if (ln < 10 || r < 1 || p < 1 || p > 16 || memory > maxScryptBytes)
    throw new Stop("manifest_invalid", "The manifest asks for scrypt with numbers out of bounds.", false);
  const salt = Buffer.from(match[4]!, "hex");
  return new Promise((resolve, reject) => {
    const options = { N: 2 ** ln, r, p, maxmem: memory + 1024 * 1024 };
    scrypt(passphrase.normalize("NFC"), salt, keyBytes, options, (error, key) =>
      error ? reject(error) : resolve(key),
    );
  });
}

function partCipher(key: Uint8Array): PartCipher {
  return {
    seal(n, header, plain, out) {
      const cipher = createCipheriv(algorithm, key, nonceOf(n));
      cipher.setAAD(aadOf(n, header));
      for (let at = 0; at < plain.length; at += stepBytes)
        copyBytes(out, at, cipher.update(plain.subarray(at, at + stepBytes)));
      cipher.final();
      out.set(cipher.getAuthTag(), plain.length);
    },
    open(n, header, sealed) {
      if (sealed.length < tagBytes) throw damaged("an encrypted piece is too short");
      const decipher = createDecipheriv(algorithm, key, nonceOf(n), { authTagLength: tagBytes });
      decipher.setAAD(aadOf(n, header));
      decipher.setAuthTag(sealed.subarray(sealed.length - tagBytes));
      try {
        // All of it comes from `update`; `final` only checks the tag.
        const plain = decipher.update(sealed.subarray(0, sealed.length - tagBytes));
        decipher.final();
        return plain;
      } catch {
        throw damaged("an encrypted piece was altered, or the key is another one");
      }
    },
  };
}

function nonceOf(n: number): Uint8Array {
  const nonce = Buffer.alloc(nonceBytes);
  nonce.writeUInt32LE(n, 0);
  return nonce;
}

function aadOf(n: number, header: Uint8Array): Uint8Array {
  const number = Buffer.alloc(4);
  number.writeUInt32LE(n, 0);
  return Buffer.concat([header, number]);
}
