/**
 * Where an offer stands: vast.ai says "Sweden, SE" or "SE". Our regions are two-letter country codes and six groups; a
 * group's name wins over the country that has the same code (NA, SA, AS, AF).
 */

const GROUPS: Readonly<Record<string, string>> = {
  EU: "AD AL AT AX BA BE BG BY CH CY CZ DE DK EE ES FI FO FR GB GG GI GR HR HU IE IM IS IT JE LI LT LU LV MC MD ME MK MT NL NO PL PT RO RS RU SE SI SJ SK SM UA UK VA XK",
  NA: "AG AI AW BB BL BM BQ BS BZ CA CR CU CW DM DO GD GL GP GT HN HT JM KN KY LC MF MQ MS MX NI PA PM PR SV SX TC TT US VC VG VI",
  SA: "AR BO BR CL CO EC FK GF GY PE PY SR UY VE",
  AS: "AE AF AM AZ BD BH BN BT CN GE HK ID IL IN IQ IR JO JP KG KH KP KR KW KZ LA LB LK MM MN MO MV MY NP OM PH PK PS QA SA SG SY TH TJ TL TM TR TW UZ VN YE",
  AF: "AO BF BI BJ BW CD CF CG CI CM CV DJ DZ EG EH ER ET GA GH GM GN GQ GW KE KM LR LS LY MA MG ML MR MU MW MZ NA NE NG RE RW SC SD SH SL SN SO SS ST SZ TD TG TN TZ UG YT ZA ZM ZW",
  OC: "AS AU CC CK CX FJ FM GU KI MH MP NC NF NR NU NZ PF PG PN PW SB TK TO TV VU WF WS",
};

/** ISO 3166's own code for "unknown". */
export const UNKNOWN_REGION = "ZZ";

/** "Sweden, SE" -> "SE". */
export function readRegion(geolocation: string | null | undefined): string {
  const code = /(?:^|,)\s*([A-Za-z]{2})\s*$/.exec(geolocation ?? "")?.[1];
  return code ? code.toUpperCase() : UNKNOWN_REGION;
}

/** The country codes that a region stands for; null for anywhere. */
export function listCountries(region: string | null): string[] | null {
  if (region === null) return null;
  const name = region.toUpperCase();
  return GROUPS[name]?.split(" ") ?? [name];
}
