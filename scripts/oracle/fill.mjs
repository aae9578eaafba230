// Fills values of any SSZ type with bytes that follow from a seed.

import {
  BitArray,
  BitListType,
  BitVectorType,
  BooleanType,
  ByteListType,
  ByteVectorType,
  ContainerType,
  ListBasicType,
  ListCompositeType,
  ProgressiveBitListType,
  ProgressiveByteListType,
  ProgressiveContainerType,
  ProgressiveListBasicType,
  ProgressiveListCompositeType,
  UintBigintType,
  UintNumberType,
  VectorBasicType,
  VectorCompositeType,
} from "@chainsafe/ssz";

const of = (type, ...classes) => classes.some((c) => type instanceof c);

// fill makes a value of the type: lists have up to three elements, byte lists up to 64 bytes, bit lists up to 64 bits.
// Numbers are below 2^48 where lodestar cannot hold more. block(n) returns the n-th 32 bytes.
export function fill(type, block) {
  let counter = 0;
  const bytes = (n) => {
    const parts = [];
    for (let have = 0; have < n; have += 32) {
      parts.push(block(counter++));
    }
    return new Uint8Array(Buffer.concat(parts).subarray(0, n));
  };
  const below = (n) => bytes(1)[0] % n;
  const bits = (length) => BitArray.fromBoolArray(Array.from(bytes(length), (b) => b % 2 === 1));

  function make(t) {
    if (of(t, ContainerType, ProgressiveContainerType)) {
      return Object.fromEntries(Object.entries(t.fields).map(([name, field]) => [name, make(field)]));
    }
    if (of(t, ListBasicType, ListCompositeType, ProgressiveListBasicType, ProgressiveListCompositeType)) {
      return Array.from({length: below(Math.min(t.limit, 3) + 1)}, () => make(t.elementType));
    }
    if (of(t, VectorBasicType, VectorCompositeType)) {
      return Array.from({length: t.length}, () => make(t.elementType));
    }
    if (of(t, BitListType, ProgressiveBitListType)) {
      return bits(below(Math.min(t.limitBits, 64) + 1));
    }
    if (of(t, BitVectorType)) {
      return bits(t.lengthBits);
    }
    if (of(t, ByteListType, ProgressiveByteListType)) {
      return bytes(below(Math.min(t.limitBytes, 64) + 1));
    }
    if (of(t, ByteVectorType)) {
      return bytes(t.lengthBytes);
    }
    if (of(t, BooleanType)) {
      return below(2) === 1;
    }
    if (of(t, UintNumberType)) {
      return Buffer.from(bytes(6)).readUIntLE(0, Math.min(t.byteLength, 6));
    }
    if (of(t, UintBigintType)) {
      return BigInt("0x" + Buffer.from(bytes(Math.min(t.byteLength, 32))).toString("hex"));
    }
    throw new Error(`cannot fill ${t.typeName}`);
  }
  return make(type);
}
