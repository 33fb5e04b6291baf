from imeiflow import GSMFusionClient

client = GSMFusionClient()

test_imeis = ["350000000001012", "350000000001020", "350000000001038"]

result = client.place_imei_order(imei=test_imeis, network_id="1")

print(f"Successful: {len(result['orders'])}")
print(f"Errors: {len(result['errors'])}")
print(f"Duplicates: {len(result['duplicates'])}")

client.close()
