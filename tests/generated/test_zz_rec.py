# throwaway: record
import json, pytest
from tests.generated.test_matrix import TABLES, answers
@pytest.mark.parametrize("engine_name", ["sqlite"], indirect=True)
@pytest.mark.parametrize("table", TABLES)
async def test_rec(house, table):
    import time
    ways = [w for w in house.ways if w.client is (table == "client")]
    ways.sort(key=lambda w: not w.safe)
    got = {w: {} for w in ways}
    for who in TABLES[table]:
        t=time.time(); c=time.process_time()
        for way, result in (await answers(house, who, ways)).items(): got[way][who]=result
        print(who, len(ways), time.time()-t, time.process_time()-c)
    open(f"/tmp/rec_{table}.json","w").write(json.dumps([[w.method,w.label,w.target,[r[p] for p in TABLES[table]]] for w,r in got.items()]))
